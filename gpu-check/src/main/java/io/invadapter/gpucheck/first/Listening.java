package io.invadapter.gpucheck.first;

import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;

/** Stands in front of a driver or library and tells what goes through. */
final class Listening {

    private Listening() {
    }

    /** Hears of calls that succeeded. */
    @FunctionalInterface
    interface Ear {
        /**
         * @param arguments {@code null} for none
         * @param result    {@code null} of a method without one
         */
        void hear(Object[] arguments, Object result);
    }

    /** The same, overheard. */
    static <T> T to(Class<T> type, T target, Ear ear) {
        return type.cast(Proxy.newProxyInstance(type.getClassLoader(), new Class<?>[] {type}, (proxy, method, arguments) -> {
            try {
                Object result = method.invoke(target, arguments);
                ear.hear(arguments, result);
                return result;
            } catch (InvocationTargetException e) {
                throw e.getCause();
            }
        }));
    }
}
