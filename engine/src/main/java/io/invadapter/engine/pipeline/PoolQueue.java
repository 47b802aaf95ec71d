package io.invadapter.engine.pipeline;

import io.invadapter.engine.request.LoraUse;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.LinkedHashMap;
import java.util.List;

/**
 * Waiting requests: first come, first served for each client, and the clients in turn, but for those whose LoRAs a device has already. Not
 * thread-safe.
 */
final class PoolQueue {
    /** How often a request that would be next is passed over for one that needs no other LoRAs on the device. */
    static final int MOST_PASSES = 4;

    /** Who is first in this order has the next turn; nobody is here with nothing. */
    private final LinkedHashMap<String, Deque<PoolJob>> clients = new LinkedHashMap<>();
    private int size;

    int size() {
        return size;
    }

    void add(PoolJob job) {
        clients.computeIfAbsent(job.client(), client -> new ArrayDeque<>()).add(job);
        size++;
    }

    /** One that has begun: it goes on before the client's others, when everybody else had a turn. */
    void addFirst(PoolJob job) {
        Deque<PoolJob> own = clients.remove(job.client());
        if (own == null) {
            own = new ArrayDeque<>();
        }
        own.addFirst(job);
        clients.put(job.client(), own);
        size++;
    }

    /** @return whether it was still waiting */
    boolean remove(PoolJob job) {
        Deque<PoolJob> own = clients.get(job.client());
        if (own == null || !own.remove(job)) {
            return false;
        }
        size--;
        if (own.isEmpty()) {
            clients.remove(job.client());
        }
        return true;
    }

    /** Empties the queue. */
    List<PoolJob> removeAll() {
        List<PoolJob> all = new ArrayList<>();
        clients.values().forEach(all::addAll);
        clients.clear();
        size = 0;
        return all;
    }

    /**
     * The request that is next for a device: of the clients' first ones the first that asks for the LoRAs which are there, unless one
     * before it was passed over {@link #MOST_PASSES} times; else the first of all.
     *
     * @param loras that the device has
     * @return {@code null} when nothing waits
     */
    PoolJob next(List<LoraUse> loras) {
        for (Deque<PoolJob> own : clients.values()) {
            if (own.peek().kind().loras().equals(loras)) {
                return own.peek();
            }
            if (own.peek().passes() >= MOST_PASSES) {
                break;
            }
        }
        return size == 0 ? null : clients.firstEntry().getValue().peek();
    }

    /**
     * {@link #next} with those that can go through the network beside it: the first of each client whose turn comes, as
     * long as they are of the same kind. Nobody overtakes a request of the same client.
     *
     * @param loras        that the device has
     * @param mostPictures of the batch; a single request may want more
     * @param mostRequests 1 or more
     * @return empty when nothing waits
     */
    List<PoolJob> take(List<LoraUse> loras, int mostPictures, int mostRequests) {
        List<PoolJob> batch = new ArrayList<>();
        PoolJob chosen = next(loras);
        if (chosen == null) {
            return batch;
        }
        clients.values().stream().map(Deque::peek).takeWhile(job -> job != chosen).forEach(PoolJob::passOver);
        batch.add(takeFrom(chosen.client()));
        int pictures = batch.getFirst().pictures();
        // One that was passed over stays passed over: its first request does not change any more.
        List<String> turns = new ArrayList<>(clients.keySet());
        for (int i = 0; i < turns.size() && batch.size() < mostRequests; i++) {
            PoolJob next = clients.get(turns.get(i)).peek();
            if (next.kind().equals(batch.getFirst().kind()) && pictures + next.pictures() <= mostPictures) {
                batch.add(takeFrom(turns.get(i)));
                pictures += next.pictures();
                if (clients.containsKey(turns.get(i))) {
                    turns.add(turns.get(i));
                }
            }
        }
        return batch;
    }

    /** After which it is everybody else's turn. */
    private PoolJob takeFrom(String client) {
        Deque<PoolJob> own = clients.remove(client);
        PoolJob job = own.remove();
        if (!own.isEmpty()) {
            clients.put(client, own);
        }
        size--;
        return job;
    }
}
