package io.invadapter.engine.adapter;

import io.invadapter.engine.unet.UNet;
import io.invadapter.kernels.Device;
import io.invadapter.kernels.Tensor;

/**
 * What steers the pictures of one request beside their texts, as an identity does. It has two lives: this one, its values, is as long
 * as the request; its tensors, and the operators that are recorded on them, are its share of a denoising plan, which serves every request
 * of the same shape: {@link InfluencePlan}.
 */
public interface Influence {

    /** What it asks of a plan for these pictures. */
    Shape shape(Layout pictures);

    /**
     * All of an influence that decides which operators a plan records: part of the key that plans are kept by, and so a value, equal
     * where one plan serves both. Weights are recorded too; who frees them closes the plans before.
     */
    interface Shape {

        /** Rows that go through the network in {@link InfluencePlan#passes}. */
        int ownRows();

        /** Rows of {@link InfluencePlan#guests}. Other than 0 only where the pictures are one part. */
        int guestRows();

        /** Makes its share of a plan. */
        InfluencePlan plan(Place place);
    }

    /** Where in a plan an influence stands, and what it finds there while the plan is made. */
    interface Place {

        Device device();

        UNet unet();

        Layout pictures();

        /**
         * Rows of the plan's batches: the guests of all influences, then the pictures' rows. What is said of each row, as {@link
         * io.invadapter.kernels.Source} has it, goes by this numbering.
         */
        int batchRows();

        /** The number of its first guest there. */
        int firstGuest();

        /** What a step's timestep adds in the network for its own rows from number {@code first} on. */
        Tensor time(int first, int rows);

        /** Hands a tensor of the current scope to the plan: it lives as long as that. */
        Tensor own(Tensor tensor);
    }
}
