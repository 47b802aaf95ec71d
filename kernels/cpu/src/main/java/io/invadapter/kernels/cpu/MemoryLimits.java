package io.invadapter.kernels.cpu;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.OptionalLong;

/**
 * How much memory this process may still take: of the machine, of its container (cgroups, version 1 and 2, with all groups
 * above it) and below its own limits (ulimit -v and -d). Linux tells it in files; elsewhere nothing is known.
 */
final class MemoryLimits {
    /** Of the address space and the data that ulimit allows: for Java's threads, oneDNN's code and all that cannot be refused politely. */
    private static final long SPARE = 64L << 20;

    /** Of the machine's and the container's memory: a process that has all that was foreseen still grows a little. */
    private static final long RESERVE = 48L << 20;

    /** Version 1 says the largest number of whole pages. */
    private static final long NO_LIMIT = 1L << 60;

    private static final Room ENDLESS = new Room(Long.MAX_VALUE >> 1, Long.MAX_VALUE >> 1, "this machine's memory");

    private final Path root;

    /**
     * Room under one limit.
     *
     * @param free what can be had without taking from anybody
     * @param most what can be had at all, file cache and swap included
     * @param of   whose, for messages
     */
    record Room(long free, long most, String of) {
    }

    MemoryLimits() {
        this(Path.of("/"));
    }

    /** @param root the folder that {@code proc} and {@code sys} are in */
    MemoryLimits(Path root) {
        this.root = root;
    }

    /** Bytes that can be had without taking from anybody; empty when nothing is known. */
    OptionalLong free() {
        return rooms(0).stream().mapToLong(Room::free).min();
    }

    /**
     * The limit that leaves the least; room without end when nothing is known.
     *
     * @param promised bytes that the process will come to have in memory with what it holds already. What of them it has not written
     *                 to yet is not to be had again, of the machine or the container, though these do not count it; ulimit does.
     */
    Room tightest(long promised) {
        return rooms(promised).stream().min(Comparator.comparingLong(Room::most)).orElse(ENDLESS);
    }

    /** Bytes of this process that are in memory and in no file; 0 when nothing is known. */
    long resident() {
        return resident(status());
    }

    private static long resident(List<String> status) {
        long anonymous = value(status, "RssAnon:");
        return Math.max(0, anonymous >= 0 ? anonymous : value(status, "VmRSS:")) << 10;
    }

    private List<String> status() {
        return lines(root.resolve("proc/self/status"));
    }

    /** Bytes of address space that ulimit -v leaves; empty when it sets no limit. */
    OptionalLong addresses() {
        List<Room> rooms = new ArrayList<>();
        ulimit(rooms, status(), "Max address space", "VmSize:", "ulimit -v");
        return rooms.stream().mapToLong(Room::free).findFirst();
    }

    private List<Room> rooms(long promised) {
        List<Room> rooms = new ArrayList<>();
        List<String> status = status();
        long unwritten = Math.max(RESERVE, promised - resident(status));
        List<String> machine = lines(root.resolve("proc/meminfo"));
        long available = value(machine, "MemAvailable:");
        long swap = Math.max(0, value(machine, "SwapFree:")) << 10;
        if (available >= 0) {
            rooms.add(new Room(available << 10, Math.max(0, (available << 10) + swap - unwritten), "this machine's memory"));
        }
        for (String line : lines(root.resolve("proc/self/cgroup"))) {
            // hierarchy:controllers:path; version 2 has number 0 and names no controllers
            String[] parts = line.split(":", 3);
            if (parts.length == 3 && parts[0].equals("0")) {
                groups(rooms, "sys/fs/cgroup", parts[2], "memory.max", "memory.current", "", swap, unwritten);
            } else if (parts.length == 3 && List.of(parts[1].split(",")).contains("memory")) {
                groups(rooms, "sys/fs/cgroup/memory", parts[2], "memory.limit_in_bytes", "memory.usage_in_bytes", "total_", swap,
                        unwritten);
            }
        }
        ulimit(rooms, status, "Max address space", "VmSize:", "ulimit -v");
        ulimit(rooms, status, "Max data size", "VmData:", "ulimit -d");
        return rooms;
    }

    /** The group and all above it. Inside a container the path may be the host's; then the mount itself is the group. */
    private void groups(List<Room> rooms, String mount, String path, String limitFile, String usageFile, String prefix, long swap,
            long unwritten) {
        Path top = root.resolve(mount);
        Path group = top.resolve(path.substring(1)).normalize();
        for (Path folder = group.startsWith(top) ? group : top; folder.startsWith(top); folder = folder.getParent()) {
            long limit = number(folder.resolve(limitFile));
            long usage = number(folder.resolve(usageFile));
            if (limit >= 0 && limit < NO_LIMIT && usage >= 0) {
                List<String> statistics = lines(folder.resolve("memory.stat"));
                long unread = Math.max(0, value(statistics, prefix + "inactive_file"));
                long read = Math.max(0, value(statistics, prefix + "active_file"));
                long left = limit - usage + unread;
                rooms.add(new Room(Math.max(0, left), Math.max(0, Math.max(0, left + read) + swap(folder, limit - usage, swap) - unwritten),
                        "the container's memory"));
            }
        }
    }

    /**
     * Bytes of swap that a group may still take.
     *
     * @param memory  what it may still take of memory: version 1 limits both together
     * @param machine the swap that there is
     */
    private static long swap(Path group, long memory, long machine) {
        long most = number(group.resolve("memory.swap.max"));
        long both = number(group.resolve("memory.memsw.limit_in_bytes"));
        long left = most >= 0 ? most - number(group.resolve("memory.swap.current"))
                : both >= 0 ? both - number(group.resolve("memory.memsw.usage_in_bytes")) - memory : machine;
        return Math.clamp(left, 0, machine);
    }

    private void ulimit(List<Room> rooms, List<String> status, String limit, String used, String of) {
        for (String line : lines(root.resolve("proc/self/limits"))) {
            if (line.startsWith(limit)) {
                String soft = line.substring(limit.length()).strip().split(" ")[0];
                long usage = value(status, used);
                if (!soft.equals("unlimited") && usage >= 0) {
                    long left = Math.max(0, Long.parseLong(soft) - (usage << 10) - SPARE);
                    rooms.add(new Room(left, left, "what " + of + " allows"));
                }
            }
        }
    }

    /** The number that follows {@code key}, or -1. */
    private static long value(List<String> lines, String key) {
        for (String line : lines) {
            String[] words = line.split("\\s+");
            if (words[0].equals(key)) {
                return Long.parseLong(words[1]);
            }
        }
        return -1;
    }

    /** The number in a file of one line; -1 when there is none, or {@code max}. */
    private static long number(Path file) {
        List<String> lines = lines(file);
        return lines.isEmpty() || lines.getFirst().equals("max") ? -1 : Long.parseLong(lines.getFirst().strip());
    }

    private static List<String> lines(Path file) {
        try {
            return Files.readAllLines(file);
        } catch (IOException e) {
            return List.of();
        }
    }
}
