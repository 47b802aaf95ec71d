package io.invadapter.engine.text;

import io.invadapter.weights.WeightException;
import io.invadapter.weights.json.Json;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.PriorityQueue;

/** Byte-pair encoding of one word: starts from its bytes and joins neighbours, the earliest learned pair first. */
final class BytePairs {

    /** What the vocabulary writes behind the last byte of a word. */
    static final String END_OF_WORD = "</w>";

    /** Marks a place whose symbol was joined to the one on its left. */
    private static final int JOINED = -1;

    private final int[] byteIds = new int[256];
    private final int[] lastByteIds = new int[256];
    private final Ranks ranks;
    private final int[] joinedIds;

    BytePairs(Map<String, Integer> vocabulary, List<Merge> merges, int unknown) {
        for (int b = 0; b < 256; b++) {
            byteIds[b] = vocabulary.getOrDefault(ByteSymbols.of(b), unknown);
            lastByteIds[b] = vocabulary.getOrDefault(ByteSymbols.of(b) + END_OF_WORD, unknown);
        }
        ranks = new Ranks(merges.size());
        joinedIds = new int[merges.size()];
        for (int rank = 0; rank < joinedIds.length; rank++) {
            Merge merge = merges.get(rank);
            ranks.put(id(vocabulary, merge.left(), merge), id(vocabulary, merge.right(), merge), rank);
            joinedIds[rank] = id(vocabulary, merge.joined(), merge);
        }
    }

    private static int id(Map<String, Integer> vocabulary, String symbol, Merge merge) {
        Integer id = vocabulary.get(symbol);
        if (id == null) {
            throw new WeightException(merge.where().get() + " needs " + Json.quote(symbol) + ", which is not in the vocabulary");
        }
        return id;
    }

    /** The ids of a word; the time grows with n log n, so that a pasted megabyte without spaces is no trap. */
    int[] encode(String word) {
        byte[] bytes = word.getBytes(StandardCharsets.UTF_8);
        int n = bytes.length;
        int[] ids = new int[n];
        int[] previous = new int[n];
        int[] next = new int[n];
        for (int i = 0; i < n; i++) {
            ids[i] = (i < n - 1 ? byteIds : lastByteIds)[bytes[i] & 0xFF];
            previous[i] = i - 1;
            next[i] = i + 1;
        }
        // Rank in the upper half and place in the lower one: the lowest rank comes first, and of those the leftmost.
        PriorityQueue<Long> candidates = new PriorityQueue<>();
        for (int i = 0; i < n - 1; i++) {
            offer(candidates, ids, i, i + 1);
        }
        while (!candidates.isEmpty()) {
            long candidate = candidates.poll();
            int joined = joinedIds[(int) (candidate >>> 32)];
            int left = (int) candidate;
            int right = next[left];
            // A candidate may be out of date: one of its symbols may since have been joined to another neighbour.
            if (ids[left] == JOINED || right == n) {
                continue;
            }
            int rank = ranks.get(ids[left], ids[right]);
            if (rank == Ranks.NONE || joinedIds[rank] != joined) {
                continue;
            }
            ids[left] = joined;
            ids[right] = JOINED;
            next[left] = next[right];
            if (next[left] < n) {
                previous[next[left]] = left;
                offer(candidates, ids, left, next[left]);
            }
            if (previous[left] >= 0) {
                offer(candidates, ids, previous[left], left);
            }
        }
        return Arrays.stream(ids).filter(id -> id != JOINED).toArray();
    }

    private void offer(PriorityQueue<Long> candidates, int[] ids, int left, int right) {
        int rank = ranks.get(ids[left], ids[right]);
        if (rank != Ranks.NONE) {
            candidates.add((long) rank << 32 | left);
        }
    }

    /** The rank of each pair of ids, in a hash table of plain numbers: it is filled at every start, before anything is compiled. */
    private static final class Ranks {

        static final int NONE = -1;

        private final long[] pairs;
        private final int[] ranks;

        Ranks(int most) {
            // Half full at most.
            int slots = Integer.highestOneBit(Math.max(most, 1)) << 2;
            pairs = new long[slots];
            ranks = new int[slots];
            Arrays.fill(ranks, NONE);
        }

        void put(int left, int right, int rank) {
            int slot = slot(left, right);
            pairs[slot] = pair(left, right);
            ranks[slot] = rank;
        }

        int get(int left, int right) {
            return ranks[slot(left, right)];
        }

        /** Where the pair is, or else where there is room for it. */
        private int slot(int left, int right) {
            long pair = pair(left, right);
            int slot = (int) (pair * 0x9E3779B97F4A7C15L >>> 40) & ranks.length - 1;
            while (ranks[slot] != NONE && pairs[slot] != pair) {
                slot = slot + 1 & ranks.length - 1;
            }
            return slot;
        }

        private static long pair(int left, int right) {
            return (long) left << 32 | right;
        }
    }
}
