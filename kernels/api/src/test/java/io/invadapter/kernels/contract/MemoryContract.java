package io.invadapter.kernels.contract;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.invadapter.kernels.DataType;
import io.invadapter.kernels.Device;
import io.invadapter.kernels.Packer;
import io.invadapter.kernels.Scope;
import io.invadapter.kernels.Tensor;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** What every {@link Device} does with memory: copies, views and scopes. */
abstract class MemoryContract extends DeviceFixture {

    private final DeviceContract contract;

    MemoryContract(DeviceContract contract) {
        super(contract);
        this.contract = contract;
    }

    @Test
    void introducesItself() {
        assertEquals(precision, device.precision());
        assertFalse(device.name().isBlank());
        assertFalse(device.description().isBlank());
        assertTrue(device.freeMemory() > 0);
        assertTrue(device.usedMemory() > 0);
    }

    @Test
    void marksTellTheTimeOfTheWorkBetweenThem() {
        try (Device.Mark before = device.mark()) {
            device.copy(zeros(64, 64), zeros(64, 64));
            try (Device.Mark after = device.mark()) {
                assertTrue(after.millisecondsSince(before) >= 0);
                assertEquals(0, after.millisecondsSince(after));
            }
        }
    }

    @Test
    void aClosedDeviceIsRefused() {
        Device closed = contract.open(precision);
        String description = closed.description();
        float[] values = new float[64];
        Tensor x = closed.keep(closed.upload(type, values, 8, 8));
        Tensor y = closed.upload(type, values, 8, 8);
        Scope scope = closed.scope();
        Packer layers = closed.packer();
        Device.Recording recording = closed.record(() -> closed.copy(x, y));
        recording.run();
        closed.close();
        closed.close();
        assertEquals(description, closed.description());
        for (Executable use : List.<Executable>of(() -> closed.allocate(type, 1), () -> closed.upload(type, values, 64),
                () -> closed.write(x, values), () -> closed.download(x), () -> closed.read(x, MemorySegment.ofArray(new byte[64 * type.bytes()])),
                () -> closed.copy(x, y), recording::run, closed::packer, () -> layers.linear(host(weights(8, 8)), null),
                () -> layers.convolution(host(weights(8, 8, 1, 1)), null, 1, Device.Padding.NONE, type))) {
            assertThrows(IllegalStateException.class, use);
        }
        recording.close();
        layers.close();
        closed.release(x);
        scope.close();
    }

    // --- copies -----------------------------------------------------------------------------------------------------

    @ParameterizedTest
    @EnumSource(names = "INT32", mode = EnumSource.Mode.EXCLUDE)
    void valuesComeBackRounded(DataType as) {
        Values values = floats(3, 7, 5);
        Tensor tensor = put(as, values);
        assertEquals(as, tensor.type());
        assertExact(values.rounded(as), tensor);

        Values others = floats(3, 7, 5).times(100);
        device.write(tensor, others.floats());
        assertExact(others.rounded(as), tensor);
    }

    @ParameterizedTest
    @EnumSource(names = "INT32", mode = EnumSource.Mode.EXCLUDE)
    void valuesThatAreNoNumbersComeBack(DataType as) {
        float[] values = {Float.NaN, Float.POSITIVE_INFINITY, Float.NEGATIVE_INFINITY, 0, -0f};
        assertArrayEquals(values, device.download(device.upload(as, values, 5)));
    }

    @ParameterizedTest
    @EnumSource(names = "INT32", mode = EnumSource.Mode.EXCLUDE)
    void bytesComeBack(DataType as) {
        Values values = Values.coarse(random, 3, 5, 1);
        byte[] bytes = values.host(as).data().toArray(ValueLayout.JAVA_BYTE);
        Tensor tensor = device.allocate(as, 3, 5, 1);
        device.write(tensor, MemorySegment.ofArray(bytes));
        assertExact(values, tensor);

        byte[] heap = new byte[bytes.length];
        device.read(tensor, MemorySegment.ofArray(heap));
        assertArrayEquals(bytes, heap);
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment outside = arena.allocate(bytes.length + 1L).asSlice(1);
            device.read(tensor, outside);
            assertArrayEquals(bytes, outside.toArray(ValueLayout.JAVA_BYTE));
            device.write(tensor, outside);
        }
        assertExact(values, tensor);
    }

    @Test
    void indicesComeBack() {
        int[] indices = {7, -1, 0, Integer.MAX_VALUE, Integer.MIN_VALUE};
        Tensor tensor = device.upload(indices);
        assertEquals(DataType.INT32, tensor.type());
        assertArrayEquals(new int[] {5}, tensor.shape());
        assertArrayEquals(indices, readIndices(tensor));
        device.write(tensor, new int[] {1, 2, 3, 4, 5});
        assertArrayEquals(new int[] {1, 2, 3, 4, 5}, readIndices(tensor));
    }

    private int[] readIndices(Tensor tensor) {
        int[] read = new int[(int) tensor.elements()];
        device.read(tensor, MemorySegment.ofArray(read));
        return read;
    }

    @ParameterizedTest
    @EnumSource
    void oneTensorIsCopiedOverAnother(DataType as) {
        byte[] bytes = new byte[15 * as.bytes()];
        random.nextBytes(bytes);
        Tensor source = device.allocate(as, 3, 5);
        device.write(source, MemorySegment.ofArray(bytes));
        Tensor target = device.allocate(as, 5, 3, 1);
        device.copy(source, target);
        byte[] copied = new byte[bytes.length];
        device.read(target, MemorySegment.ofArray(copied));
        assertArrayEquals(bytes, copied);
    }

    @Test
    void copiesOfTheWrongSizeAreRefused() {
        int[] shape = {3, 5};
        Tensor tensor = zeros(shape);
        Tensor indices = device.upload(new int[4]);
        DataType other = type == DataType.FLOAT32 ? DataType.BFLOAT16 : DataType.FLOAT32;
        assertRefused(() -> device.upload(type, new float[14], shape), shape);
        assertRefused(() -> device.write(tensor, new float[16]), shape);
        assertRefused(() -> device.write(indices, new int[5]), indices.shape());
        assertRefused(() -> device.write(tensor, new int[15]), shape);
        assertRefused(() -> device.write(indices, new float[4]));
        for (int bytes : new int[] {15 * type.bytes() - 1, 15 * type.bytes() + 1}) {
            assertRefused(() -> device.write(tensor, MemorySegment.ofArray(new byte[bytes])), shape);
            assertRefused(() -> device.read(tensor, MemorySegment.ofArray(new byte[bytes])), shape);
        }
        assertRefused(() -> device.copy(tensor, zeros(3, 6)), shape, new int[] {3, 6});
        assertRefused(() -> device.copy(tensor, device.allocate(other, shape)), shape);
        assertRefused(() -> device.allocate(type, 2, 0));
    }

    @Test
    void copiesNeedContiguousTensors() {
        Tensor columns = zeros(3, 5).columns(1, 2);
        assertRefused(() -> device.download(columns), columns.shape());
        assertRefused(() -> device.write(columns, new float[6]), columns.shape());
        assertRefused(() -> device.copy(columns, zeros(3, 2)), columns.shape());
        assertRefused(() -> device.copy(zeros(3, 2), columns), columns.shape());
    }

    // --- views ------------------------------------------------------------------------------------------------------

    @Test
    void viewsShowTheirPartOfATensor() {
        Values values = activations(4, 6, 5);
        Tensor tensor = put(values);
        assertExact(values.reshape(4, 2, 3, 5), tensor.map(2, 3));
        assertExact(values.reshape(4, 30), tensor.reshape(4, 30));
        assertExact(values.rows(1, 2), tensor.rows(1, 2));
        assertExact(values.reshape(120, 1).rows(37, 21).reshape(3, 7), tensor.part(37, 3, 7));
        assertExact(values.reshape(120).rows(37, 21), tensor.reshape(120).rows(37, 21));
    }

    @Test
    void writingAViewChangesItsPartOnly() {
        Values values = activations(4, 6, 5);
        Values row = activations(1, 6, 5);
        Tensor tensor = put(values);
        device.write(tensor.rows(2, 1), row.floats());
        assertExact(Reference.concat(0, values.rows(0, 2), row, values.rows(3, 1)), tensor);

        device.copy(tensor.rows(2, 1), tensor.part(0, 1, 6, 5));
        assertExact(Reference.concat(0, row, values.rows(1, 1), row, values.rows(3, 1)), tensor);
    }

    @Test
    void viewsBeyondATensorAreRefused() {
        Tensor tensor = zeros(4, 6, 5);
        assertRefused(() -> tensor.rows(3, 2), tensor.shape());
        assertRefused(() -> tensor.columns(4, 2), tensor.shape());
        assertRefused(() -> tensor.reshape(4, 31), tensor.shape(), new int[] {4, 31});
        assertRefused(() -> tensor.part(100, 3, 7), tensor.shape(), new int[] {3, 7});
        assertRefused(() -> tensor.part(-1, 3, 7), tensor.shape(), new int[] {3, 7});
    }

    // --- scopes -----------------------------------------------------------------------------------------------------

    @Test
    void aScopeGivesItsMemoryBack() {
        long address;
        try (Scope inner = device.scope()) {
            address = device.allocate(type, 1000, 7).address();
        }
        assertEquals(address, device.allocate(type, 1000, 7).address());
    }

    @Test
    void aTensorReleasedEarlyMakesRoomAtOnce() {
        try (Scope inner = device.scope()) {
            Tensor early = device.allocate(type, 1000, 7);
            long address = early.address();
            inner.release(early);
            assertThrows(IllegalStateException.class, () -> device.download(early));
            assertEquals(address, device.allocate(type, 1000, 7).address());
        }
    }

    @Test
    void keptTensorsOutliveTheirScope() {
        Values values = activations(3, 5);
        Tensor handedOn;
        Tensor owned;
        try (Scope inner = device.scope()) {
            handedOn = inner.keep(put(values));
            owned = device.keep(put(values));
        }
        zeros(3, 5);
        assertExact(values, handedOn);
        assertExact(values, owned);
        device.release(owned);
        assertThrows(IllegalStateException.class, () -> device.download(owned));
    }

    @Test
    void theSamePassGetsTheSameAddresses() {
        pass();
        List<Long> second = pass();
        assertEquals(second, pass());
        assertEquals(second, pass());
    }

    /** The addresses of all tensors of a small pass, among them those that an operator makes. */
    private List<Long> pass() {
        List<Long> addresses = new ArrayList<>();
        try (Scope outer = device.scope()) {
            Tensor x = zeros(1, 3, 5, 7);
            addresses.add(x.address());
            try (Scope inner = device.scope()) {
                Tensor joined = device.concat(-1, x, x);
                addresses.add(joined.address());
                addresses.add(inner.keep(device.upsample2x(joined, 5, 9)).address());
            }
            addresses.add(device.upsample2x(x, 6, 10).address());
        }
        return addresses;
    }

    @Test
    void trimmingLeavesWhatIsInUse() {
        Values values = activations(3, 5);
        Tensor used = put(values);
        try (Scope inner = device.scope()) {
            zeros(3, 5);
        }
        device.trim();
        assertExact(values, used);
        assertExact(values, put(values));
    }
}
