/* fixedbase_curves.c: the four curves' numbers. Source: SP 800-186 s.3.2.1.3 to 3.2.1.5, SEC 2 v2 s.2.4.1. */
#include "ec/fixedbase.h"

#if RJ_HAVE_FIXEDBASE

#include <openssl/obj_mac.h>

#include "ec/fixedbase_internal.h"
#include "ec/fixedbase_lanes_cpu.h"

static const fb_curve curves_p256 = {
    .id = RJ_CURVE_P256,
    .bits = 256,
    .words = 4,
    .coord_bytes = 32,
    .key_widths = {8, 6, 4},
    .generator_width = 10,
    .nid = NID_X9_62_prime256v1,
    .p = {0xffffffffffffffff, 0x00000000ffffffff, 0x0000000000000000, 0xffffffff00000001},
    .n = {0xf3b9cac2fc632551, 0xbce6faada7179e84, 0xffffffffffffffff, 0xffffffff00000000},
    .n_rr = {0x83244c95be79eea2, 0x4699799c49bd6fa6, 0x2845b2392b6bec59, 0x66e12d94f3d95620},
    .n_neg_inv = 0xccd1c8aaee00bc4f,
    .mod_p = {.limbs = 5,
              .inv62 = 0x3fffffffffffffff,
              .m = {0x3fffffffffffffff, 0x00000003ffffffff, 0x0000000000000000, 0x3fffffc000000040,
                    0x00000000000000ff}},
    .mod_n = {.limbs = 5,
              .inv62 = 0x332e375511ff43b1,
              .m = {0x33b9cac2fc632551, 0x339beab69c5e7a13, 0x3ffffffffffffffb, 0x3fffffc00000003f,
                    0x00000000000000ff}},
};

static const fb_curve curves_p384 = {
    .id = RJ_CURVE_P384,
    .bits = 384,
    .words = 6,
    .coord_bytes = 48,
    .key_widths = {8, 6, 4},
    .generator_width = 9,
    .nid = NID_secp384r1,
    .p = {0x00000000ffffffff, 0xffffffff00000000, 0xfffffffffffffffe, 0xffffffffffffffff, 0xffffffffffffffff,
          0xffffffffffffffff},
    .n = {0xecec196accc52973, 0x581a0db248b0a77a, 0xc7634d81f4372ddf, 0xffffffffffffffff, 0xffffffffffffffff,
          0xffffffffffffffff},
    .n_rr = {0x2d319b2419b409a9, 0xff3d81e5df1aa419, 0xbc3e483afcb82947, 0xd40d49174aab1cc5, 0x3fb05b7a28266895,
             0x0c84ee012b39bf21},
    .n_neg_inv = 0x6ed46089e88fdc45,
    .mod_p = {.limbs = 7,
              .inv62 = 0x3ffffffeffffffff,
              .m = {0x00000000ffffffff, 0x3ffffffc00000000, 0x3fffffffffffffef, 0x3fffffffffffffff, 0x3fffffffffffffff,
                    0x3fffffffffffffff, 0x0000000000000fff}},
    .mod_n = {.limbs = 7,
              .inv62 = 0x112b9f76177023bb,
              .m = {0x2cec196accc52973, 0x206836c922c29deb, 0x3634d81f4372ddf5, 0x3ffffffffffffff1, 0x3fffffffffffffff,
                    0x3fffffffffffffff, 0x0000000000000fff}},
};

static const fb_curve curves_p521 = {
    .id = RJ_CURVE_P521,
    .bits = 521,
    .words = 9,
    .coord_bytes = 66,
    .key_widths = {8, 6, 4},
    .generator_width = 9,
    .nid = NID_secp521r1,
    .p = {0xffffffffffffffff, 0xffffffffffffffff, 0xffffffffffffffff, 0xffffffffffffffff, 0xffffffffffffffff,
          0xffffffffffffffff, 0xffffffffffffffff, 0xffffffffffffffff, 0x00000000000001ff},
    .n = {0xbb6fb71e91386409, 0x3bb5c9b8899c47ae, 0x7fcc0148f709a5d0, 0x51868783bf2f966b, 0xfffffffffffffffa,
          0xffffffffffffffff, 0xffffffffffffffff, 0xffffffffffffffff, 0x00000000000001ff},
    .n_rr = {0x137cd04dcf15dd04, 0xf707badce5547ea3, 0x12a78d38794573ff, 0xd3721ef557f75e06, 0xdd6e23d82e49c7db,
             0xcff3d142b7756e3e, 0x5bcc6d61a8e567bc, 0x2d8e03d1492d0d45, 0x000000000000003d},
    .n_neg_inv = 0x1d2f5ccd79a995c7,
    .mod_p = {.limbs = 9,
              .inv62 = 0x3fffffffffffffff,
              .m = {0x3fffffffffffffff, 0x3fffffffffffffff, 0x3fffffffffffffff, 0x3fffffffffffffff, 0x3fffffffffffffff,
                    0x3fffffffffffffff, 0x3fffffffffffffff, 0x3fffffffffffffff, 0x0000000001ffffff}},
    .mod_n = {.limbs = 9,
              .inv62 = 0x22d0a33286566a39,
              .m = {0x3b6fb71e91386409, 0x2ed726e226711eba, 0x3cc0148f709a5d03, 0x21a1e0efcbe59adf, 0x3ffffffffffffa51,
                    0x3fffffffffffffff, 0x3fffffffffffffff, 0x3fffffffffffffff, 0x0000000001ffffff}},
};

static const fb_curve curves_k256 = {
    .id = RJ_CURVE_K256,
    .bits = 256,
    .words = 4,
    .coord_bytes = 32,
    .key_widths = {8, 6, 4},
    .generator_width = 10,
    .nid = NID_secp256k1,
    .p = {0xfffffffefffffc2f, 0xffffffffffffffff, 0xffffffffffffffff, 0xffffffffffffffff},
    .n = {0xbfd25e8cd0364141, 0xbaaedce6af48a03b, 0xfffffffffffffffe, 0xffffffffffffffff},
    .n_rr = {0x896cf21467d7d140, 0x741496c20e7cf878, 0xe697f5e45bcd07c6, 0x9d671cd581c69bc5},
    .n_neg_inv = 0x4b0dff665588b13f,
    .mod_p = {.limbs = 5,
              .inv62 = 0x27c7f6e22ddacacf,
              .m = {0x3ffffffefffffc2f, 0x3fffffffffffffff, 0x3fffffffffffffff, 0x3fffffffffffffff,
                    0x00000000000000ff}},
    .mod_n = {.limbs = 5,
              .inv62 = 0x34f20099aa774ec1,
              .m = {0x3fd25e8cd0364141, 0x2abb739abd2280ee, 0x3fffffffffffffeb, 0x3fffffffffffffff,
                    0x00000000000000ff}},
};

const fb_curve *rj_fb_curve(rj_curve curve)
{
    switch (curve) {
    case RJ_CURVE_P256:
        return &curves_p256;
    case RJ_CURVE_P384:
        return &curves_p384;
    case RJ_CURVE_P521:
        return &curves_p521;
    case RJ_CURVE_K256:
        return &curves_k256;
    case RJ_CURVE_COUNT:
        break;
    }
    return NULL;
}

const fb_field_ops *rj_fb_portable(rj_curve curve)
{
    switch (curve) {
    case RJ_CURVE_P256:
        return &rj_fb_portable_p256;
    case RJ_CURVE_P384:
        return &rj_fb_portable_p384;
    case RJ_CURVE_P521:
        return &rj_fb_portable_p521;
    case RJ_CURVE_K256:
        return &rj_fb_portable_k256;
    case RJ_CURVE_COUNT:
        break;
    }
    return NULL;
}

const fb_table_builder *rj_fb_table_builder(rj_curve curve)
{
    switch (curve) {
    case RJ_CURVE_P256:
        return &rj_fb_table_builder_p256;
    case RJ_CURVE_P384:
        return &rj_fb_table_builder_p384;
    case RJ_CURVE_P521:
        return &rj_fb_table_builder_p521;
    case RJ_CURVE_K256:
        return &rj_fb_table_builder_k256;
    case RJ_CURVE_COUNT:
        break;
    }
    return NULL;
}

#if RJ_HAVE_LANES
const fb_field_ops *rj_fb_lanes(rj_curve curve)
{
    if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512dq") || !__builtin_cpu_supports("avx512vl")
        || !__builtin_cpu_supports("avx512ifma") || !__builtin_cpu_supports("bmi2"))
        return NULL;
    switch (curve) {
    case RJ_CURVE_P256:
        return &rj_fb_lanes_p256;
    case RJ_CURVE_P384:
        return &rj_fb_lanes_p384;
    case RJ_CURVE_P521:
        return &rj_fb_lanes_p521;
    case RJ_CURVE_K256:
        return &rj_fb_lanes_k256;
    case RJ_CURVE_COUNT:
        break;
    }
    return NULL;
}
#else
const fb_field_ops *rj_fb_lanes(rj_curve curve)
{
    (void)curve;
    return NULL;
}
#endif

unsigned rj_fb_windows(const fb_curve *curve, unsigned width) { return (curve->bits + width - 1) / width; }

#else
typedef int curves_empty;
#endif
