package io.invadapter.kernels;

import java.io.IOException;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.ServiceConfigurationError;
import java.util.ServiceLoader;
import java.util.function.Consumer;

/**
 * Opens devices by name. Their providers are looked for where this class comes from, then where the thread's context class loader
 * looks: in a server an application's threads may have another's, and the devices may lie beside the application alone.
 */
public final class Devices {

    private Devices() {
    }

    /**
     * Opens a device.
     *
     * @param name      {@code auto}, {@code cpu}, {@code cuda} or {@code cuda:n}
     * @param precision {@code null} for the device's own default
     * @param notices   told, in one sentence each, which kinds {@code auto} passed over though they are there, and why
     * @throws DeviceException when there is no such device
     */
    public static Device open(String name, Precision precision, Consumer<String> notices) {
        Objects.requireNonNull(name, "name");
        Objects.requireNonNull(notices, "notices");
        List<DeviceProvider> providers = providers();
        if (name.equals("auto")) {
            return openFirst(providers, precision, notices);
        }
        String[] parts = name.split(":", 2);
        for (DeviceProvider provider : providers) {
            if (provider.kind().equals(parts[0])) {
                return provider.open(index(name, parts), orDefault(precision, provider));
            }
        }
        throw new DeviceException("unknown device '" + name + "': expected auto, "
                + String.join(", ", providers.stream().map(DeviceProvider::kind).toList()) + " or <kind>:<number>");
    }

    /** What there is of each kind, for people; the kind that {@code auto} prefers comes first. */
    public static Map<String, List<String>> report() {
        Map<String, List<String>> report = new LinkedHashMap<>();
        providers().forEach(provider -> report.put(provider.kind(), provider.report()));
        return report;
    }

    private static List<DeviceProvider> providers() {
        List<DeviceProvider> providers = new ArrayList<>();
        ServiceLoader.load(DeviceProvider.class, Devices.class.getClassLoader()).forEach(providers::add);
        Iterator<DeviceProvider> others = ServiceLoader.load(DeviceProvider.class).iterator();
        while (true) {
            try {
                if (!others.hasNext()) {
                    break;
                }
                DeviceProvider other = others.next();
                if (providers.stream().noneMatch(provider -> provider.kind().equals(other.kind()))) {
                    providers.add(other);
                }
            } catch (ServiceConfigurationError e) {
                // Made for another copy of these classes; a loader that cannot be read says so for ever.
                if (e.getCause() instanceof IOException) {
                    break;
                }
            } catch (IllegalStateException e) {
                // The loader of an application that has been stopped.
                break;
            }
        }
        providers.sort(Comparator.comparingInt(DeviceProvider::priority).reversed());
        if (providers.isEmpty()) {
            throw new DeviceException("no device implementation found: put invadapter-kernels-cpu or "
                    + "invadapter-kernels-cuda beside the engine");
        }
        return providers;
    }

    private static Device openFirst(List<DeviceProvider> providers, Precision precision, Consumer<String> notices) {
        List<String> passedOver = new ArrayList<>();
        DeviceException last = null;
        for (DeviceProvider provider : providers) {
            try {
                Device device = provider.open(0, orDefault(precision, provider));
                passedOver.forEach(reason -> notices.accept("using " + device.name() + ", not " + reason));
                return device;
            } catch (DeviceException e) {
                if (provider.isPresent()) {
                    passedOver.add(provider.kind() + ": " + e.getMessage());
                }
                last = e;
            }
        }
        throw last;
    }

    private static Precision orDefault(Precision precision, DeviceProvider provider) {
        return precision == null ? provider.defaultPrecision() : precision;
    }

    private static int index(String name, String[] parts) {
        try {
            return parts.length == 1 ? 0 : Integer.parseUnsignedInt(parts[1]);
        } catch (NumberFormatException e) {
            throw new DeviceException("unknown device '" + name + "': what follows the colon must be a number");
        }
    }
}
