package io.invadapter.engine.adapter.eaa;

import io.invadapter.engine.adapter.Influence;
import io.invadapter.engine.adapter.InfluencePlan;
import io.invadapter.engine.adapter.Layout;
import io.invadapter.engine.adapter.eaa.IdentityShape.Origin;
import io.invadapter.engine.unet.AttentionHook;
import io.invadapter.engine.unet.TextFeatures;
import io.invadapter.engine.unet.UNetInput;
import io.invadapter.kernels.DataType;
import io.invadapter.kernels.Device;
import io.invadapter.kernels.Tensor;
import java.util.ArrayList;
import java.util.List;

/** People in the pictures of a plan: the faces' own rows, what each layer keeps of them, and who goes into which row. */
final class IdentityPlan implements InfluencePlan {
    private final IdentityShape shape;
    private final Influence.Place place;
    private final EmbeddedAttentionAdapter adapter;
    private final Device device;
    /** {@code null} where keys and values are stored. */
    private final FaceRows faces;
    /** Of each own pass. */
    private final List<TextFeatures> captions = new ArrayList<>();
    /** {@code null} where each layer uses what it makes at once, and nobody wants to keep it. */
    private final IdentityFeatures features;
    /** The identity of each batch row. */
    private final Tensor rowIdentities;
    /** Lambda of each batch row; 0 for guests. */
    private final Tensor rowScales;
    private IdentityInfluence influence;

    IdentityPlan(IdentityShape shape, Influence.Place place) {
        this.shape = shape;
        this.place = place;
        adapter = shape.adapter();
        device = place.device();
        faces = shape.origin() == Origin.STORED ? null : new FaceRows(shape, place);
        for (int first = 0; first < shape.ownRows(); first += shape.rowsOfAPass()) {
            TextFeatures caption = place.unet().textFeatures(shape.rowsOfAPass(), shape.tokens());
            caption.tensors().forEach(place::own);
            captions.add(caption);
        }
        features = shape.origin() == Origin.TOGETHER && !shape.keep() ? null
                : adapter.features(shape.count(), shape.height(), shape.width());
        if (features != null) {
            place.own(features.block());
        }
        rowIdentities = place.own(device.allocate(DataType.INT32, place.batchRows()));
        rowScales = place.own(device.allocate(DataType.FLOAT32, place.batchRows()));
    }

    // --- what is recorded -------------------------------------------------------------------------------------------

    @Override
    public List<Runnable> passes() {
        List<Runnable> passes = new ArrayList<>();
        for (int i = 0; i < captions.size(); i++) {
            TextFeatures caption = captions.get(i);
            int first = i * shape.rowsOfAPass();
            passes.add(() -> pass(first, caption));
        }
        return passes;
    }

    private void pass(int first, TextFeatures caption) {
        int rows = caption.rows();
        List<Tensor> canvas = faces.canvas() == null ? List.of() : List.of(faces.canvas().rows(first, rows));
        Tensor latents = place.unet().input(List.of(faces.latents().rows(first, rows)), canvas);
        UNetInput input = new UNetInput(latents, place.time(first, rows), caption, List.of(adapter.record(features, first)));
        faces.move(first, place.unet().forward(input));
    }

    @Override
    public Guests guests() {
        return shape.guestRows() == 0 ? null : faces;
    }

    @Override
    public AttentionHook hook(int part, int first, int rows) {
        Tensor identities = rowIdentities.rows(first, rows);
        Tensor scales = rowScales.rows(first, rows);
        if (shape.guestRows() > 0) {
            return adapter.together(place.firstGuest(), shape.count(), identities, scales, shape.layers(), features);
        }
        return shape.customised().get(part) ? adapter.inject(features, identities, scales, shape.layers()) : AttentionHook.NONE;
    }

    // --- for each request -------------------------------------------------------------------------------------------

    @Override
    public void start(Influence values) {
        influence = (IdentityInfluence) values;
        if (influence.people() instanceof People.Inverted inverted) {
            faces.start(inverted.faces());
            for (int i = 0; i < captions.size(); i++) {
                int first = i * shape.rowsOfAPass();
                place.unet().project(faces.texts().subList(first, first + captions.get(i).rows()), captions.get(i));
            }
        }
        List<Layout.Row> rows = place.pictures().rows();
        int guests = place.batchRows() - rows.size();
        int[] identities = new int[place.batchRows()];
        float[] scales = new float[place.batchRows()];
        for (int i = 0; i < rows.size(); i++) {
            identities[guests + i] = influence.person(rows.get(i));
            scales[guests + i] = influence.scale(rows.get(i));
        }
        device.write(rowIdentities, identities);
        device.write(rowScales, scales);
    }

    @Override
    public void before(int step) {
        switch (influence.people()) {
            case People.Inverted inverted -> faces.before(step);
            case People.Stored stored -> stored.keeper().exchange(step, features);
        }
    }

    @Override
    public void after(int step) {
        if (influence.people() instanceof People.Inverted inverted) {
            if (inverted.keeper() != null) {
                inverted.keeper().exchange(step, features);
            }
            if (influence.wantsFaces() && faces.isLast(step)) {
                influence.arrived(faces.download());
            }
        }
    }
}
