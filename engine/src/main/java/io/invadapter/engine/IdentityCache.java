package io.invadapter.engine;

import io.invadapter.engine.model.IdentityFeatures;
import io.invadapter.kernels.Device;
import io.invadapter.kernels.OutOfDeviceMemoryException;
import io.invadapter.kernels.Scope;
import io.invadapter.kernels.Tensor;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Keys and values of identities, for every step, so that the next picture of the same face needs neither its inversion nor
 * its rows. What they depend on (face, caption, steps, model, adapter, precision) is in the key; the prompt is not.
 *
 * <p>Kept in device memory first; when a budget is used up, what was used longest ago moves on to host memory, then to a
 * folder, then goes. Used by one thread at a time.
 */
final class IdentityCache implements AutoCloseable {

    /** One step of one identity, somewhere. */
    private sealed interface Place {
    }

    private record OnDevice(Tensor tensor) implements Place {
    }

    private record OnHost(Arena arena, MemorySegment bytes) implements Place {
    }

    private record OnDisk() implements Place {
    }

    /** One identity: a place for each step, the more recently used the later in {@link #entries}. */
    private static final class Entry {
        private final String key;
        private final Place[] places;
        private final long stepBytes;

        Entry(String key, int steps, long stepBytes) {
            this.key = key;
            this.places = new Place[steps];
            this.stepBytes = stepBytes;
        }
    }

    private final Device device;
    private final IdentityBudget budget;
    private final IdentityFolder folder;
    private final Map<String, Entry> entries = new LinkedHashMap<>(16, 0.75f, true);
    private long deviceBytes;
    private long hostBytes;

    IdentityCache(Device device, IdentityBudget budget) {
        this.device = device;
        this.budget = budget;
        this.folder = budget.folder() == null ? null : new IdentityFolder(budget.folder(), budget.diskBytes());
    }

    /** Whether an identity of that size can be kept at all. */
    boolean accepts(int steps, int stepElements) {
        long bytes = (long) steps * stepElements * device.precision().type().bytes();
        return bytes <= budget.deviceBytes() + budget.hostBytes() + (folder == null ? 0 : budget.diskBytes());
    }

    /** Whether all steps of an identity are there. */
    boolean contains(String key, int steps, int stepElements) {
        if (entries.containsKey(key)) {
            return true;
        }
        long bytes = (long) stepElements * device.precision().type().bytes();
        if (folder == null || !folder.contains(key, steps, bytes)) {
            return false;
        }
        Entry entry = new Entry(key, steps, bytes);
        Arrays.fill(entry.places, new OnDisk());
        entries.put(key, entry);
        return true;
    }

    /** A step that {@link #contains} had promised is gone: the folder was changed in the meantime. */
    static final class LostException extends RuntimeException {
        private static final long serialVersionUID = 1L;
    }

    /**
     * Fills row {@code identity} of {@code features} with one step.
     *
     * @throws LostException when it is gone; the identity is then forgotten
     */
    void load(String key, int step, IdentityFeatures features, int identity) {
        Entry entry = entries.get(key);
        if (entry == null) {
            throw new LostException();
        }
        switch (entry.places[step]) {
            case OnDevice place -> features.copyFrom(place.tensor, identity);
            case OnHost place -> write(place.bytes, features, identity);
            case OnDisk _ -> {
                try (Arena arena = Arena.ofConfined()) {
                    MemorySegment bytes = arena.allocate(entry.stepBytes, 64);
                    if (!folder.read(key, step, bytes)) {
                        drop(entry);
                        throw new LostException();
                    }
                    write(bytes, features, identity);
                }
            }
        }
    }

    private void write(MemorySegment bytes, IdentityFeatures features, int identity) {
        try (Scope scope = device.scope()) {
            Tensor staged = device.allocate(device.precision().type(), features.elements());
            device.write(staged, bytes);
            features.copyFrom(staged, identity);
        }
    }

    /** A walk through the steps that is under way; it counts only when it is finished. */
    final class Writer {
        private final Entry entry;
        private boolean full;

        private Writer(Entry entry) {
            this.entry = entry;
        }

        /** Keeps one step of row {@code identity}. */
        void store(int step, IdentityFeatures features, int identity) {
            if (full) {
                return;
            }
            entry.places[step] = place(entry, step, features, identity);
            if (entry.places[step] == null) {
                full = true;
                drop(entry);
            }
        }

        /** Makes the identity known when all its steps found a place. */
        void finish() {
            if (!full) {
                entries.put(entry.key, entry);
            }
        }

        /** Forgets what was stored. */
        void abandon() {
            if (!full) {
                full = true;
                drop(entry);
            }
        }
    }

    Writer begin(String key, int steps, int stepElements) {
        return new Writer(new Entry(key, steps, (long) stepElements * device.precision().type().bytes()));
    }

    // --- places -----------------------------------------------------------------------------------------------------

    private Place place(Entry entry, int step, IdentityFeatures features, int identity) {
        if (roomOnDevice(entry)) {
            try {
                Tensor tensor = device.keep(device.allocate(device.precision().type(), features.elements()));
                features.copyTo(tensor, identity);
                deviceBytes += entry.stepBytes;
                return new OnDevice(tensor);
            } catch (OutOfDeviceMemoryException e) {
                // The budget was more than there is; the next place is as good.
            }
        }
        try (Scope scope = device.scope()) {
            Tensor tensor = device.allocate(device.precision().type(), features.elements());
            features.copyTo(tensor, identity);
            return placeOutside(entry, step, tensor);
        }
    }

    /** In host memory or the folder; {@code null} when neither has room. */
    private Place placeOutside(Entry entry, int step, Tensor tensor) {
        if (roomOnHost(entry)) {
            Arena arena = Arena.ofShared();
            MemorySegment bytes = arena.allocate(entry.stepBytes, 64);
            device.read(tensor, bytes);
            hostBytes += entry.stepBytes;
            return new OnHost(arena, bytes);
        }
        if (folder == null) {
            return null;
        }
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment bytes = arena.allocate(entry.stepBytes, 64);
            device.read(tensor, bytes);
            return folder.write(entry.key, step, entry.places.length, bytes) ? new OnDisk() : null;
        }
    }

    private boolean roomOnDevice(Entry wanting) {
        while (deviceBytes + wanting.stepBytes > budget.deviceBytes()) {
            Entry oldest = oldestWith(OnDevice.class, wanting);
            if (oldest == null) {
                return false;
            }
            moveOn(oldest, OnDevice.class);
        }
        return true;
    }

    private boolean roomOnHost(Entry wanting) {
        while (hostBytes + wanting.stepBytes > budget.hostBytes()) {
            Entry oldest = oldestWith(OnHost.class, wanting);
            if (oldest == null) {
                return false;
            }
            moveOn(oldest, OnHost.class);
        }
        return true;
    }

    private Entry oldestWith(Class<? extends Place> kind, Entry except) {
        for (Entry entry : entries.values()) {
            if (entry != except && step(entry, kind) >= 0) {
                return entry;
            }
        }
        return null;
    }

    private static int step(Entry entry, Class<? extends Place> kind) {
        for (int i = 0; i < entry.places.length; i++) {
            if (kind.isInstance(entry.places[i])) {
                return i;
            }
        }
        return -1;
    }

    /** Moves one step to the next place, or drops the identity when there is none. */
    private void moveOn(Entry entry, Class<? extends Place> kind) {
        int step = step(entry, kind);
        Place place = entry.places[step];
        Place next = switch (place) {
            case OnDevice onDevice -> placeOutside(entry, step, onDevice.tensor);
            case OnHost onHost when folder != null && folder.write(entry.key, step, entry.places.length, onHost.bytes) -> new OnDisk();
            default -> null;
        };
        release(entry, step);
        entry.places[step] = next;
        if (next == null) {
            drop(entry);
        }
    }

    private void drop(Entry entry) {
        entries.remove(entry.key);
        for (int i = 0; i < entry.places.length; i++) {
            release(entry, i);
            entry.places[i] = null;
        }
        if (folder != null) {
            folder.remove(entry.key);
        }
    }

    private void release(Entry entry, int step) {
        switch (entry.places[step]) {
            case OnDevice onDevice -> {
                device.release(onDevice.tensor);
                deviceBytes -= entry.stepBytes;
            }
            case OnHost onHost -> {
                onHost.arena.close();
                hostBytes -= entry.stepBytes;
            }
            case OnDisk _ -> {
                // The folder removes an identity as a whole.
            }
            case null -> {
                // Not stored yet.
            }
        }
    }

    /** Writes what is in memory to the folder, as far as there is one and it has room, and frees the memory. */
    @Override
    public void close() {
        List<Entry> all = new ArrayList<>(entries.values());
        for (Entry entry : all.reversed()) {
            for (int i = 0; i < entry.places.length && entries.containsKey(entry.key); i++) {
                if (folder != null && !(entry.places[i] instanceof OnDisk)) {
                    save(entry, i);
                }
            }
        }
        for (Entry entry : all) {
            for (int i = 0; i < entry.places.length; i++) {
                release(entry, i);
            }
        }
        entries.clear();
    }

    private void save(Entry entry, int step) {
        boolean saved = switch (entry.places[step]) {
            case OnHost onHost -> folder.write(entry.key, step, entry.places.length, onHost.bytes);
            case OnDevice onDevice -> {
                try (Arena arena = Arena.ofConfined()) {
                    MemorySegment bytes = arena.allocate(entry.stepBytes, 64);
                    device.read(onDevice.tensor, bytes);
                    yield folder.write(entry.key, step, entry.places.length, bytes);
                }
            }
            case null, default -> true;
        };
        if (!saved) {
            drop(entry);
        }
    }
}
