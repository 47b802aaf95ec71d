package io.invadapter.engine.adapter.eaa;

import io.invadapter.engine.Latents;
import io.invadapter.engine.adapter.Influence;
import io.invadapter.engine.adapter.Layout;
import io.invadapter.engine.adapter.eaa.IdentityShape.Origin;
import io.invadapter.engine.request.IdentityLayers;
import io.invadapter.engine.request.IdentityRows;
import io.invadapter.engine.sampling.Sampling;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.stream.IntStream;

/** People in the pictures of one request, by the Embedded Attention Adapter. */
public final class IdentityInfluence implements Influence {
    private final EmbeddedAttentionAdapter adapter;
    private final People people;
    private final int[] ofPictures;
    private final double[] scales;
    private final IdentityLayers layers;
    private final IdentityRows rows;
    private boolean wantsFaces;
    private Latents faces;

    /**
     * @param ofPictures the number of each picture's person
     * @param scales     lambda of each picture; 0 for one of nobody
     */
    public IdentityInfluence(EmbeddedAttentionAdapter adapter, People people, int[] ofPictures, double[] scales, IdentityLayers layers,
            IdentityRows rows) {
        this.adapter = Objects.requireNonNull(adapter, "adapter");
        this.people = Objects.requireNonNull(people, "people");
        this.ofPictures = Objects.requireNonNull(ofPictures, "ofPictures");
        this.scales = Objects.requireNonNull(scales, "scales");
        this.layers = Objects.requireNonNull(layers, "layers");
        this.rows = Objects.requireNonNull(rows, "rows");
    }

    /** One person in one picture. @param face its way beside that, as {@link io.invadapter.engine.sampling.Diffusion#beside} has it */
    public static IdentityInfluence of(EmbeddedAttentionAdapter adapter, Sampling face, double scale, IdentityLayers layers,
            IdentityRows rows) {
        return new IdentityInfluence(adapter, new People.Inverted(face, null), new int[] {0}, new double[] {scale}, layers, rows);
    }

    People people() {
        return people;
    }

    int person(Layout.Row row) {
        return ofPictures[row.picture()];
    }

    /** Lambda. */
    float scale(Layout.Row row) {
        return row.negative() && rows == IdentityRows.PROMPT ? 0 : (float) scales[row.picture()];
    }

    /** Asks for {@link #faces}; this one. */
    public IdentityInfluence askForFaces() {
        wantsFaces = true;
        return this;
    }

    boolean wantsFaces() {
        return wantsFaces;
    }

    /** The faces' own latents where their way beside the pictures ended; {@code null} before, where there was none, and unless asked for. */
    public Latents faces() {
        return faces;
    }

    void arrived(Latents ofFaces) {
        faces = ofFaces;
    }

    @Override
    public Influence.Shape shape(Layout pictures) {
        List<Boolean> customised = new ArrayList<>();
        int first = 0;
        for (Layout.Part part : pictures.parts()) {
            customised.add(IntStream.range(first, first + part.pictures()).anyMatch(picture -> scales[picture] != 0));
            first += part.pictures();
        }
        return switch (people) {
            case People.Inverted(Sampling way, People.Keeper keeper) -> {
                Latents own = way.start();
                int tokens = adapter.tokens(way.guidance().getFirst().prompt());
                boolean alike = own.height() == pictures.height() && own.width() == pictures.width()
                        && tokens == pictures.parts().getFirst().tokens();
                Origin origin = !adapter.device().prefersLargeBatches() ? Origin.ONE_BY_ONE : alike ? Origin.TOGETHER : Origin.APART;
                yield new IdentityShape(adapter, own.batch(), own.height(), own.width(), tokens, origin, keeper != null, layers,
                        customised);
            }
            case People.Stored stored -> {
                int size = adapter.identityLatentSize();
                yield new IdentityShape(adapter, stored.count(), size, size, 0, Origin.STORED, true, layers, customised);
            }
        };
    }
}
