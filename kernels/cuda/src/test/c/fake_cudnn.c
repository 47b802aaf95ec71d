/*
 * Stands in for cuDNN where there is no GPU: takes down its arguments. Signatures as in cudnn_graph.h, cudnn_ops.h and
 * cudnn_cnn.h. Descriptors are numbered in the order in which they are made.
 */
#include "fake.h"

#define HANDLE ((void *) 0xd22)

static intptr_t made = 0;
static int kinds[100000];
/* What a descriptor is of, or has been told to be of: an engine's number, a knob's value. */
static intptr_t proposed[100000];

size_t cudnnGetVersion(void) {
    return answer("FAKE_CUDNN_VERSION", 90501);
}

size_t cudnnGetCudartVersion(void) {
    return answer("FAKE_CUDART", 12060);
}

void cudnnGetLastErrorString(char *message, size_t size) {
    snprintf(message, size, "in cuDNN's\nown words");
}

int cudnnCreate(void **handle) {
    int status = answer("FAKE_CUDNN_CREATE", 0);
    note("cudnnCreate");
    *handle = status == 0 ? HANDLE : NULL;
    return status;
}

int cudnnDestroy(void *handle) {
    note("cudnnDestroy %p", handle);
    return 0;
}

int cudnnSetStream(void *handle, void *stream) {
    note("cudnnSetStream %p %lx", handle, (uintptr_t) stream);
    return answer("FAKE_CUDNN_SET_STREAM", 0);
}

#define CREATE(name) int name(void **descriptor) { *descriptor = (void *) ++made; note(#name " -> %ld", made); return 0; }
#define DESTROY(name) int name(void *descriptor) { note(#name " %ld", (intptr_t) descriptor); return 0; }

CREATE(cudnnCreateTensorDescriptor)
CREATE(cudnnCreateFilterDescriptor)
CREATE(cudnnCreateConvolutionDescriptor)
CREATE(cudnnCreateActivationDescriptor)
DESTROY(cudnnDestroyTensorDescriptor)
DESTROY(cudnnDestroyFilterDescriptor)
DESTROY(cudnnDestroyConvolutionDescriptor)
DESTROY(cudnnDestroyActivationDescriptor)

int cudnnSetTensor4dDescriptor(void *tensor, int format, int type, int n, int c, int h, int w) {
    note("tensor %ld format %d type %d n %d c %d h %d w %d", (intptr_t) tensor, format, type, n, c, h, w);
    return 0;
}

int cudnnSetFilter4dDescriptor(void *filter, int type, int format, int k, int c, int h, int w) {
    note("filter %ld type %d format %d k %d c %d h %d w %d", (intptr_t) filter, type, format, k, c, h, w);
    return 0;
}

int cudnnSetConvolution2dDescriptor(void *conv, int pad_h, int pad_w, int u, int v, int dilation_h, int dilation_w, int mode,
                                    int computeType) {
    note("convolution %ld padding %d %d stride %d %d dilation %d %d mode %d compute %d", (intptr_t) conv, pad_h, pad_w, u, v,
         dilation_h, dilation_w, mode, computeType);
    return 0;
}

int cudnnSetConvolutionMathType(void *conv, int mathType) {
    note("convolution %ld math %d", (intptr_t) conv, mathType);
    return 0;
}

int cudnnSetActivationDescriptor(void *activation, int mode, int nan, double coef) {
    note("activation %ld mode %d nan %d coef %g", (intptr_t) activation, mode, nan, coef);
    return 0;
}

int cudnnGetConvolutionForwardWorkspaceSize(void *handle, void *x, void *w, void *conv, void *y, int algo, size_t *bytes) {
    note("workspace %p x %ld w %ld conv %ld y %ld algo %d", handle, (intptr_t) x, (intptr_t) w, (intptr_t) conv, (intptr_t) y,
         algo);
    *bytes = 1000 + algo;
    return 0;
}

int cudnnConvolutionBiasActivationForward(void *handle, const void *alpha1, void *xDesc, const void *x, void *wDesc,
                                          const void *w, void *conv, int algo, void *workSpace, size_t bytes,
                                          const void *alpha2, void *zDesc, const void *z, void *biasDesc, const void *bias,
                                          void *activation, void *yDesc, void *y) {
    note("fused %p alpha %g x %ld %p w %ld %p conv %ld algo %d workspace %p %zu alpha %g z %ld %p bias %ld %p activation %ld y "
         "%ld %p", handle, *(const float *) alpha1, (intptr_t) xDesc, x, (intptr_t) wDesc, w, (intptr_t) conv, algo, workSpace,
         bytes, *(const float *) alpha2, (intptr_t) zDesc, z, (intptr_t) biasDesc, bias, (intptr_t) activation,
         (intptr_t) yDesc, y);
    return answer("FAKE_FUSED", 0);
}

int cudnnConvolutionForward(void *handle, const void *alpha, void *xDesc, const void *x, void *wDesc, const void *w,
                            void *conv, int algo, void *workSpace, size_t bytes, const void *beta, void *yDesc, void *y) {
    note("plain %p alpha %g x %ld %p w %ld %p conv %ld algo %d workspace %p %zu beta %g y %ld %p", handle,
         *(const float *) alpha, (intptr_t) xDesc, x, (intptr_t) wDesc, w, (intptr_t) conv, algo, workSpace, bytes,
         *(const float *) beta, (intptr_t) yDesc, y);
    return answer("FAKE_PLAIN", 0);
}

int cudnnAddTensor(void *handle, const void *alpha, void *aDesc, const void *a, const void *beta, void *cDesc, void *c) {
    note("add %p alpha %g a %ld %p beta %g c %ld %p", handle, *(const float *) alpha, (intptr_t) aDesc, a,
         *(const float *) beta, (intptr_t) cDesc, c);
    return 0;
}

int cudnnBackendCreateDescriptor(int kind, void **descriptor) {
    *descriptor = (void *) ++made;
    kinds[made] = kind;
    note("%ld = kind %d", made, kind);
    return 0;
}

int cudnnBackendDestroyDescriptor(void *descriptor) {
    note("destroy %ld", (intptr_t) descriptor);
    return 0;
}

/* A tensor that is passed by value has a host address in the variant pack; which of the pack's it is, is told by its id. */
static void note_by_value(void *descriptor, int name, int64_t count, const void *values) {
    static int64_t last_id = -1, by_value = -1, place = -1;
    if (name == 906) {
        last_id = *(const int64_t *) values;
    } else if (name == 908 && *(const _Bool *) values) {
        by_value = last_id;
    }
    for (int64_t i = 0; name == 1000 && i < count; i++) {
        place = ((const int64_t *) values)[i] == by_value ? i : place;
    }
    if (name == 1001 && place >= 0) {
        note("%ld by value: %g", (intptr_t) descriptor, **((const float *const *) values + place));
    }
}

int cudnnBackendSetAttribute(void *descriptor, int name, int type, int64_t count, const void *values) {
    char text[1000] = "";
    note_by_value(descriptor, name, count, values);
    for (int64_t i = 0; i < count; i++) {
        char *end = text + strlen(text);
        switch (type) {
            case 0: case 3: case 6: case 15: sprintf(end, " %ld", ((const int64_t *) values)[i]); break;
            case 1: case 7: case 8: case 9: case 14: case 18: sprintf(end, " %d", ((const int *) values)[i]); break;
            case 2: sprintf(end, " %s", ((const _Bool *) values)[i] ? "true" : "false"); break;
            case 4: sprintf(end, " %g", ((const float *) values)[i]); break;
            default: return 2010;
        }
    }
    if (name == 1301 || name == 601) {
        proposed[(intptr_t) descriptor] = *(const int64_t *) values;
    } else if (name == 300) {
        proposed[(intptr_t) descriptor] = proposed[*(const int64_t *) values];
    }
    note("%ld.%d type %d:%s", (intptr_t) descriptor, name, type, text);
    return 0;
}

int cudnnBackendFinalize(void *descriptor) {
    char name[40];
    note("finalize %ld", (intptr_t) descriptor);
    snprintf(name, sizeof name, "FAKE_FINALIZE_%d", kinds[(intptr_t) descriptor]);
    return answer(name, 0);
}

/*
 * Each of the heuristics proposes three engines: one that rounds, two that may be used, the second of them compiled at run time.
 * Each has one knob more than the one before, up to two. As cuDNN does it, asking how many knobs there are answers 0.
 */
int cudnnBackendGetAttribute(void *descriptor, int name, int type, int64_t room, int64_t *count, void *values) {
    static int engines = 0;
    intptr_t self = (intptr_t) descriptor;
    char failing[40];
    note("%ld.%d? type %d room %ld", self, name, type, room);
    snprintf(failing, sizeof failing, "FAKE_ATTRIBUTE_%d", name);
    if (answer(failing, 0) != 0) {
        return answer(failing, 0);
    }
    switch (name) {
        case 202:
            *count = 3;
            for (int64_t i = 0; i < room; i++) {
                proposed[((int64_t *) values)[i]] = engines++;
            }
            return room == 0 && values != NULL ? 2000 : 0;
        case 300:
            *count = 1;
            proposed[((int64_t *) values)[0]] = proposed[self];
            return 0;
        case 302:
            *count = room == 0 ? 0 : proposed[self] % 3;
            for (int64_t i = 0; i < *count; i++) {
                proposed[((int64_t *) values)[i]] = 10 + i;
            }
            return 0;
        case 600:
            *count = 1;
            *(int *) values = 20 - proposed[self];
            return 0;
        case 601:
            *count = 1;
            *(int64_t *) values = proposed[self];
            return 0;
        case 402:
            *count = 1;
            *(int64_t *) values = answer("FAKE_GRAPH_WORKSPACE", 2048);
            return 0;
        case 1301:
            *count = 1;
            *(int64_t *) values = proposed[self];
            return 0;
        case 1303:
            *count = proposed[self] % 3 == 0 ? 2 : 1;
            ((int *) values)[0] = answer("FAKE_NUMERICAL_NOTE", 0);
            ((int *) values)[1] = 2;
            return 0;
        case 1305:
            *count = answer("FAKE_ALL_COMPILED", 0) || proposed[self] % 3 == 2;
            ((int *) values)[0] = 0;
            return 0;
        default:
            return 2000;
    }
}

int cudnnBackendExecute(void *handle, void *plan, void *variant) {
    note("execute %p %ld %ld", handle, (intptr_t) plan, (intptr_t) variant);
    return answer("FAKE_EXECUTE", 0);
}
