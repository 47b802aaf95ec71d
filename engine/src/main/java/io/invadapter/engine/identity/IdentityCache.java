package io.invadapter.engine.identity;

import io.invadapter.engine.adapter.eaa.IdentityFeatures;
import io.invadapter.engine.request.IdentityBudget;
import io.invadapter.kernels.Device;
import io.invadapter.kernels.DeviceException;
import io.invadapter.kernels.OutOfDeviceMemoryException;
import io.invadapter.kernels.Scope;
import io.invadapter.kernels.Tensor;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;
import java.util.stream.Stream;

/**
 * Keys and values of identities, for every step, so that the next picture of the same face needs neither its inversion nor
 * its rows. What they depend on (face, caption, steps, model, adapter, precision) is in the key; the prompt is not.
 *
 * <p>Kept in device memory first; when a budget is used up, what was used longest ago moves on to host memory, then to a
 * folder, then goes. Used by one thread at a time.
 */
public final class IdentityCache implements AutoCloseable {

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
        private long batch;

        Entry(String key, int steps, long stepBytes) {
            this.key = key;
            this.places = new Place[steps];
            this.stepBytes = stepBytes;
        }
    }

    /** For copies by vector instructions. */
    private static final int ALIGNMENT = 64;

    private final Device device;
    private final IdentityBudget budget;
    private final IdentityFolder folder;
    private final Map<String, Entry> entries = new LinkedHashMap<>(16, 0.75f, true);
    private long deviceBytes;
    private long hostBytes;
    private final Refusals refusals;
    private boolean offDevice;
    private long batch;

    /** @param notices see {@link IdentityFolder} */
    public IdentityCache(Device device, IdentityBudget budget, Consumer<String> notices) {
        this.device = device;
        this.budget = budget;
        this.refusals = new Refusals(device, budget, notices);
        this.folder = budget.folder() == null ? null : new IdentityFolder(budget.folder(), budget.diskBytes(), notices);
    }

    private long bytes(int stepElements) {
        return (long) stepElements * device.precision().type().bytes();
    }

    /** Does {@code work} without keeping more on the device. */
    void offDevice(Runnable work) {
        offDevice = true;
        try {
            work.run();
        } finally {
            offDevice = false;
        }
    }

    boolean isOffDevice() {
        return offDevice;
    }

    /** Whether an identity of that size can be kept at all. */
    boolean accepts(int steps, int stepElements) {
        return accepts(steps, stepElements, limit(OnDevice.class));
    }

    private boolean accepts(int steps, int stepElements, long deviceBytes) {
        long step = bytes(stepElements);
        return deviceBytes / step + budget.hostBytes() / step + (folder == null ? 0 : folder.capacity(step)) >= steps;
    }

    /** Says, once, that the budget of the folder is too small for any, or that there is no memory for what its budget would allow. */
    void tellOfRefusal(int steps, int stepElements) {
        if (accepts(steps, stepElements, budget.deviceBytes())) {
            refusals.deviceIsFull();
        } else if (folder != null) {
            refusals.folderIsTooSmall(steps * bytes(stepElements));
        }
    }

    /** Another batch: the identities that {@link #contains} finds for it do not make room for one another. */
    void beginBatch() {
        batch++;
        if (folder != null) {
            folder.noneInUse();
        }
    }

    /** Whether all steps of an identity are there. */
    boolean contains(String key, int steps, int stepElements) {
        if (folder != null) {
            folder.inUse(key);
        }
        Entry known = entries.get(key);
        if (known != null) {
            known.batch = batch;
            return true;
        }
        if (folder == null) {
            return false;
        }
        Entry entry = new Entry(key, steps, bytes(stepElements));
        for (int step = 0; step < steps; step++) {
            if (!folder.contains(key, step, entry.stepBytes)) {
                return false;
            }
            entry.places[step] = new OnDisk();
        }
        entry.batch = batch;
        entries.put(key, entry);
        return true;
    }

    /** A step that {@link #contains} had promised is gone: the folder was changed in the meantime. */
    static final class LostException extends RuntimeException {
        private static final long serialVersionUID = 1L;
    }

    /**
     * Fills row {@code identity} of {@code features} with one step. What was outside device memory moves in as far as there
     * is room or something used longer ago.
     *
     * @throws LostException when it is gone; the identity is then forgotten
     */
    void load(String key, int step, IdentityFeatures features, int identity) {
        Entry entry = entries.get(key);
        if (entry == null) {
            throw new LostException();
        }
        if (entry.places[step] instanceof OnDevice(Tensor tensor)) {
            features.copyFrom(tensor, identity);
            return;
        }
        try (Scope scope = device.scope()) {
            Tensor tensor = device.allocate(device.precision().type(), features.elements());
            Place nearer;
            if (entry.places[step] instanceof OnHost host) {
                device.write(tensor, host.bytes);
                // It changes places with what has to move on.
                hostBytes -= entry.stepBytes;
                nearer = onDevice(entry, tensor);
                hostBytes += entry.stepBytes;
            } else {
                read(entry, step, tensor);
                nearer = inMemory(entry, tensor);
            }
            features.copyFrom(tensor, identity);
            if (nearer != null) {
                release(entry, step);
                entry.places[step] = nearer;
            }
        }
    }

    private void read(Entry entry, int step, Tensor tensor) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment bytes = arena.allocate(entry.stepBytes, ALIGNMENT);
            if (!folder.read(entry.key, step, bytes)) {
                forget(entry);
                throw new LostException();
            }
            device.write(tensor, bytes);
        }
    }

    /** A walk through the steps that is under way; it counts only when it is finished. */
    final class Writer {
        private final Entry entry;
        private boolean over;

        private Writer(Entry entry) {
            this.entry = entry;
        }

        /** Keeps one step of row {@code identity}. */
        void store(int step, IdentityFeatures features, int identity) {
            if (over) {
                return;
            }
            try (Scope scope = device.scope()) {
                Tensor tensor = device.allocate(device.precision().type(), features.elements());
                features.copyTo(tensor, identity);
                Place place = inMemory(entry, tensor);
                entry.places[step] = place != null ? place : onDisk(entry, step, tensor);
            } catch (OutOfDeviceMemoryException e) {
                // The picture can do without.
                refusals.deviceIsFull();
            }
            if (entry.places[step] == null) {
                abandon();
            }
        }

        /** Makes the identity known when all its steps found a place. */
        void finish() {
            if (!over) {
                over = true;
                entry.batch = batch;
                entries.put(entry.key, entry);
                if (Stream.of(entry.places).anyMatch(OnDisk.class::isInstance)) {
                    folder.kept();
                }
            }
        }

        /** Forgets what was stored. */
        void abandon() {
            if (!over) {
                over = true;
                drop(entry);
            }
        }
    }

    /** Starts keeping an identity; what is there already is not written again. */
    Writer begin(String key, int steps, int stepElements) {
        Writer writer = new Writer(new Entry(key, steps, bytes(stepElements)));
        writer.over = contains(key, steps, stepElements);
        return writer;
    }

    // --- places -----------------------------------------------------------------------------------------------------

    /** On the device or else the host; {@code null} when neither has room. */
    private Place inMemory(Entry entry, Tensor tensor) {
        Place place = onDevice(entry, tensor);
        return place != null ? place : onHost(entry, tensor);
    }

    /** The tensor itself. */
    private Place onDevice(Entry entry, Tensor tensor) {
        if (!hasRoom(entry, OnDevice.class)) {
            return null;
        }
        deviceBytes += entry.stepBytes;
        return new OnDevice(device.keep(tensor));
    }

    private Place onHost(Entry entry, Tensor tensor) {
        if (!hasRoom(entry, OnHost.class)) {
            return null;
        }
        Arena arena = Arena.ofShared();
        try {
            MemorySegment bytes = arena.allocate(entry.stepBytes, ALIGNMENT);
            device.read(tensor, bytes);
            hostBytes += entry.stepBytes;
            return new OnHost(arena, bytes);
        } catch (OutOfMemoryError e) {
            // The budget was more than there is.
            arena.close();
            return null;
        } catch (RuntimeException e) {
            arena.close();
            throw e;
        }
    }

    private Place onDisk(Entry entry, int step, Tensor tensor) {
        if (folder == null) {
            return null;
        }
        if (folder.contains(entry.key, step, entry.stepBytes)) {
            return new OnDisk();
        }
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment bytes = arena.allocate(entry.stepBytes, ALIGNMENT);
            device.read(tensor, bytes);
            return folder.write(entry.key, step, bytes) ? new OnDisk() : null;
        }
    }

    /** Whether one more step fits, after moving on what was used longer ago. */
    private boolean hasRoom(Entry wanting, Class<? extends Place> kind) {
        while (used(kind) + wanting.stepBytes > limit(kind)) {
            Entry oldest = oldestWith(kind, wanting);
            if (oldest == null) {
                return false;
            }
            moveOn(oldest, step(oldest, kind));
        }
        return true;
    }

    private long used(Class<? extends Place> kind) {
        return kind == OnDevice.class ? deviceBytes : hostBytes;
    }

    private long limit(Class<? extends Place> kind) {
        return kind == OnHost.class ? budget.hostBytes() : offDevice ? 0 : budget.deviceBytes();
    }

    /** Of those used longer ago than {@code wanting}; one that is being written is the newest. */
    private Entry oldestWith(Class<? extends Place> kind, Entry wanting) {
        if (wanting.stepBytes > limit(kind)) {
            return null;
        }
        for (Entry entry : entries.values()) {
            if (entry == wanting) {
                return null;
            }
            if (entry.batch != batch && step(entry, kind) >= 0) {
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
    private void moveOn(Entry entry, int step) {
        Place next = switch (entry.places[step]) {
            case OnDevice(Tensor tensor) -> {
                Place place = onHost(entry, tensor);
                yield place != null ? place : onDisk(entry, step, tensor);
            }
            case OnHost host when folder != null && folder.write(entry.key, step, host.bytes) -> new OnDisk();
            case null, default -> null;
        };
        release(entry, step);
        entry.places[step] = next;
        if (next == null) {
            drop(entry);
        } else if (Stream.of(entry.places).allMatch(OnDisk.class::isInstance)) {
            folder.kept();
        }
    }

    /** Frees the device's memory; what has no other place to go is dropped. */
    void leaveDevice() {
        beginBatch();
        for (Entry entry : List.copyOf(entries.values())) {
            for (int step = 0; step < entry.places.length; step++) {
                if (entry.places[step] instanceof OnDevice) {
                    moveOn(entry, step);
                }
            }
        }
    }

    /** Here; what is in the folder stays. */
    private void forget(Entry entry) {
        entries.remove(entry.key);
        for (int i = 0; i < entry.places.length; i++) {
            release(entry, i);
            entry.places[i] = null;
        }
    }

    private void drop(Entry entry) {
        forget(entry);
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
        beginBatch();
        List<Entry> all = List.copyOf(entries.values());
        try {
            if (folder != null) {
                // In the order of use, so that the newest stay when there is not room for all.
                all.forEach(this::save);
            }
        } catch (DeviceException e) {
            // A device that has failed gives nothing back; an incomplete identity counts as none.
        } finally {
            for (Entry entry : all) {
                for (int i = 0; i < entry.places.length; i++) {
                    release(entry, i);
                }
            }
            entries.clear();
        }
    }

    private void save(Entry entry) {
        for (int step = 0; step < entry.places.length; step++) {
            boolean saved = switch (entry.places[step]) {
                case OnDevice(Tensor tensor) -> onDisk(entry, step, tensor) != null;
                case OnHost host -> folder.write(entry.key, step, host.bytes);
                case null, default -> true;
            };
            if (!saved) {
                return;
            }
        }
    }
}
