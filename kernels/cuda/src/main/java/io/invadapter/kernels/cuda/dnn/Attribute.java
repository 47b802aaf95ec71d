package io.invadapter.kernels.cuda.dnn;

/** {@code cudnnBackendAttributeName_t}, as far as it is used; numbers and names are those of cudnn_graph.h. */
final class Attribute {
    static final int POINTWISE_MODE = 0;
    static final int POINTWISE_MATH_PREC = 1;
    static final int CONVOLUTION_COMP_TYPE = 100;
    static final int CONVOLUTION_CONV_MODE = 101;
    static final int CONVOLUTION_DILATIONS = 102;
    static final int CONVOLUTION_FILTER_STRIDES = 103;
    static final int CONVOLUTION_POST_PADDINGS = 104;
    static final int CONVOLUTION_PRE_PADDINGS = 105;
    static final int CONVOLUTION_SPATIAL_DIMS = 106;
    static final int ENGINEHEUR_MODE = 200;
    static final int ENGINEHEUR_OPERATION_GRAPH = 201;
    static final int ENGINEHEUR_RESULTS = 202;
    static final int ENGINEHEUR_DEVICEPROP = 204;
    static final int ENGINECFG_ENGINE = 300;
    static final int ENGINECFG_KNOB_CHOICES = 302;
    static final int EXECUTION_PLAN_HANDLE = 400;
    static final int EXECUTION_PLAN_ENGINE_CONFIG = 401;
    static final int EXECUTION_PLAN_WORKSPACE_SIZE = 402;
    static final int EXECUTION_PLAN_DEVICEPROP = 407;
    static final int KNOB_CHOICE_KNOB_TYPE = 600;
    static final int KNOB_CHOICE_KNOB_VALUE = 601;
    static final int OPERATION_CONVOLUTION_FORWARD_ALPHA = 700;
    static final int OPERATION_CONVOLUTION_FORWARD_BETA = 701;
    static final int OPERATION_CONVOLUTION_FORWARD_CONV_DESC = 702;
    static final int OPERATION_CONVOLUTION_FORWARD_W = 703;
    static final int OPERATION_CONVOLUTION_FORWARD_X = 704;
    static final int OPERATION_CONVOLUTION_FORWARD_Y = 705;
    static final int OPERATION_POINTWISE_PW_DESCRIPTOR = 750;
    static final int OPERATION_POINTWISE_XDESC = 751;
    static final int OPERATION_POINTWISE_BDESC = 752;
    static final int OPERATION_POINTWISE_YDESC = 753;
    static final int OPERATIONGRAPH_HANDLE = 800;
    static final int OPERATIONGRAPH_OPS = 801;
    static final int TENSOR_BYTE_ALIGNMENT = 900;
    static final int TENSOR_DATA_TYPE = 901;
    static final int TENSOR_DIMENSIONS = 902;
    static final int TENSOR_STRIDES = 903;
    static final int TENSOR_UNIQUE_ID = 906;
    static final int TENSOR_IS_VIRTUAL = 907;
    static final int TENSOR_IS_BY_VALUE = 908;
    static final int VARIANT_PACK_UNIQUE_IDS = 1000;
    static final int VARIANT_PACK_DATA_POINTERS = 1001;
    static final int VARIANT_PACK_WORKSPACE = 1003;
    static final int ENGINE_OPERATION_GRAPH = 1300;
    static final int ENGINE_GLOBAL_INDEX = 1301;
    static final int ENGINE_NUMERICAL_NOTE = 1303;
    static final int ENGINE_BEHAVIOR_NOTE = 1305;
    static final int ENGINE_DEVICEPROP = 1307;
    static final int MATMUL_COMP_TYPE = 1500;
    static final int OPERATION_MATMUL_ADESC = 1520;
    static final int OPERATION_MATMUL_BDESC = 1521;
    static final int OPERATION_MATMUL_CDESC = 1522;
    static final int OPERATION_MATMUL_DESC = 1523;
    static final int REDUCTION_OPERATOR = 1600;
    static final int REDUCTION_COMP_TYPE = 1601;
    static final int OPERATION_REDUCTION_XDESC = 1610;
    static final int OPERATION_REDUCTION_YDESC = 1611;
    static final int OPERATION_REDUCTION_DESC = 1612;
    static final int DEVICEPROP_JSON_REPRESENTATION = 2702;

    private Attribute() {
    }
}
