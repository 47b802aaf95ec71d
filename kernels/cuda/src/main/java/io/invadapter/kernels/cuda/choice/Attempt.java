package io.invadapter.kernels.cuda.choice;

import java.util.List;

/**
 * What became of one candidate.
 *
 * @param notes               what the library says of it
 * @param workspaceBytes      -1 when it could not be prepared
 * @param prepareMilliseconds on the host
 * @param microseconds        of one run; NaN when it was not timed
 * @param recordable          whether it can be recorded in a graph; runs that cannot are timed one by one
 * @param refusal             why it is not used, in the words of whoever refused; null when it works
 */
public record Attempt(String name, List<String> notes, long workspaceBytes, double prepareMilliseconds, double microseconds,
                      boolean recordable, String refusal) {
}
