/** The CPU device: oneDNN behind the operator interface. */
module io.invadapter.kernels.cpu {
    requires transitive io.invadapter.kernels;
    requires org.bytedeco.dnnl;
    requires org.bytedeco.javacpp;
    // Named by dnnl in an annotation only, without which JavaCPP does not load it.
    requires org.bytedeco.opencl;

    provides io.invadapter.kernels.DeviceProvider with io.invadapter.kernels.cpu.CpuDeviceProvider;
}
