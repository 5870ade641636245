// oneDNN's convolutions, each on one thread. oneDNN's own threading changes the last bits of the weight
// gradient between 1, 2 and 8 threads, since it also splits the summed dimension; so the work is partitioned
// here, by the shape alone. Forward and backward to the input the unit of work is an image (a band of its
// rows, if there are few images); for the weights it is a slice of the batch, and the slices' sums are added
// in order.
//
// Measured on one core of a Xeon with AVX-512, batch 16, in GFLOP/s, beside patches and dnnl_sgemm:
//
//                                forward      towards the input   weight
//   3 x 3, 32 x 32 x  64 ->  64   105   52       61   90          75   72
//   3 x 3, 16 x 16 x 128 -> 128   119   80       91   91          86   65
//   3 x 3,  8 x  8 x 128 -> 128   114   88      103   93          85   64
//   3 x 3, 32 x 32 x   3 ->  64    53   17       16   18          28   17
//   3 x 3, 32 x 32 x  64 ->   3    17    6       37   13          16   14
//
// The primitives choose a blocked layout of the weights: each call reorders them, 0.02 to 0.1 ms for 3 x 3 of
// 64 to 128 channels. Primitives are cached per shape; their scratch memory is per thread and grows to the
// largest. Compiles against oneDNN 2.6 and 3.
#include "kernels/conv/conv2d.h"

#include <dnnl.hpp>

#include <algorithm>
#include <array>
#include <map>
#include <mutex>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <unordered_map>
#include <utility>
#include <vector>

#include "kernels/common/bf16.h"
#include "kernels/common/partition.h"
#include "kernels/pointwise/convert.h"

namespace cpu {
namespace {

using Memory = dnnl::memory;
using Layout = dnnl::memory::desc;
using Tag = dnnl::memory::format_tag;
using Forward = dnnl::convolution_forward;
using Type = dnnl::memory::data_type;
constexpr auto f32 = Type::f32;
constexpr auto direct = dnnl::algorithm::convolution_direct;

enum class Pass { forward, backward_input, backward_weight };

// The work of one call of oneDNN: whole images or, forward, the outputs of the rows [first, last) of one
// image with `above` and `below` rows of zero padding, one of `bands`.
struct Piece {
    Pass pass;
    Conv2dShape shape;
    std::int64_t first, last, above, below, bands;
    bool biased, relu;
    bool rounded;  // operands are bf16; a result and a bias are float
    auto operator<=>(const Piece&) const = default;
};

Piece whole_images(Pass pass, const Conv2dShape& shape, std::int64_t images, bool rounded, bool biased,
                   bool relu = false) {
    Conv2dShape part = shape;
    part.batch = images;
    return {pass, part,   0,    shape.height, shape.padding_height, shape.padding_height,
            1,    biased, relu, rounded};
}

// A primitive, the layouts of its arguments, and the reordering between the weights' layout and a
// checkpoint's: before it for the weights, behind it for their gradient.
struct Convolution {
    dnnl::primitive primitive, reorder;
    Layout x, y, weight, stored_weight, bias, scratch, reorder_scratch;
};

const dnnl::engine& engine() {
    static const dnnl::engine cpu_engine(dnnl::engine::kind::cpu, 0);
    return cpu_engine;
}
dnnl::stream& stream() {
    thread_local dnnl::stream own(engine());
    return own;
}

// This thread's memory for `use`, at least so many bytes.
enum class Use { scratch, weights, x, y };
float* own_memory(Use use, std::size_t bytes) {
    thread_local std::array<std::vector<float>, 4> memory;
    std::vector<float>& floats = memory[static_cast<std::size_t>(use)];
    if (floats.size() * sizeof(float) < bytes) floats.resize((bytes + sizeof(float) - 1) / sizeof(float));
    return floats.data();
}

// Numbers as a pass reads them: themselves or, for T = bf16, a rounded copy in this thread's memory.
template <class T>
const void* operand(Use use, const float* values, std::int64_t count) {
    if constexpr (std::is_same_v<T, float>) {
        return values;
    } else {
        auto* const rounded =
            reinterpret_cast<bf16*>(own_memory(use, static_cast<std::size_t>(count) * sizeof(bf16)));
        round_to_bf16(rounded, values, count);
        return rounded;
    }
}

struct Layouts {
    Layout x, y, weight, bias;
    Memory::dims strides, above, below;
};

Layouts layouts(const Piece& piece, const Layout& weight) {
    const Conv2dShape& s = piece.shape;
    const std::int64_t height = piece.last - piece.first,
                       out_height = (height + piece.above + piece.below - s.kernel_height) / s.stride + 1;
    const auto type = [&](Pass result) { return piece.rounded && piece.pass != result ? Type::bf16 : f32; };
    return {Layout({s.batch, s.C, height, s.width}, type(Pass::backward_input), Tag::nhwc),
            Layout({s.batch, s.N, out_height, s.out_width()}, type(Pass::forward), Tag::nhwc),
            weight,
            piece.biased ? Layout({s.N}, f32, Tag::x) : Layout(),
            {s.stride, s.stride},
            {piece.above, s.padding_width},
            {piece.below, s.padding_width}};
}

Layout weight_layout(const Piece& piece, Tag tag) {
    const Conv2dShape& s = piece.shape;
    return Layout({s.N, s.C, s.kernel_height, s.kernel_width},
                  piece.rounded && piece.pass != Pass::backward_weight ? Type::bf16 : f32, tag);
}

// An operation's description. oneDNN 3 makes it at once, 2 from a description without engine.
template <class Operation, class... Forward, class... Arguments>
auto describe(const dnnl::primitive_attr& attributes, const std::tuple<const Forward&...>& hint,
              const Arguments&... arguments) {
    return std::apply(
        [&](const auto&... forward) {
#if DNNL_VERSION_MAJOR >= 3
            return typename Operation::primitive_desc(engine(), arguments..., forward..., attributes);
#else
            return typename Operation::primitive_desc(typename Operation::desc(arguments...), attributes,
                                                      engine(), forward...);
#endif
        },
        hint);
}

template <class Operation, class Description>
void take(Convolution& made, const Description& description, const Layout& weight) {
    made.primitive = Operation(description);
    made.weight = weight;
    made.scratch = description.scratchpad_desc();
}

Forward::primitive_desc describe_forward(const dnnl::primitive_attr& attributes, const Layouts& l) {
    return describe<Forward>(attributes, std::tuple<>(), dnnl::prop_kind::forward_training, direct, l.x,
                             l.weight, l.bias, l.y, l.strides, l.above, l.below);
}

dnnl::post_ops relu_behind() {
    dnnl::post_ops operations;
#if DNNL_VERSION_MAJOR >= 3
    operations.append_eltwise(dnnl::algorithm::eltwise_relu, 0, 0);
#else
    operations.append_eltwise(1, dnnl::algorithm::eltwise_relu, 0, 0);
#endif
    return operations;
}

// The rows of band `index` of a forward pass over one image.
Piece band_piece(Piece whole, std::int64_t bands, std::int64_t index) {
    const Conv2dShape& s = whole.shape;
    const auto [begin, end] = row_slice(s.out_height(), bands, index);
    const std::int64_t top = begin * s.stride - s.padding_height,
                       bottom = (end - 1) * s.stride - s.padding_height + s.kernel_height;
    whole.first = std::max(top, std::int64_t{0}), whole.last = std::min(bottom, s.height);
    whole.above = whole.first - top, whole.below = bottom - whole.last, whole.bands = bands;
    return whole;
}

// Bands of a forward pass over one image, and the layout of the weights that they share.
struct Bands {
    std::int64_t count;
    Layout weight;
};

// At most `wanted` bands, in the layout that the whole image's primitive or else a band's prefers, by which
// every band has an optimised primitive; if there is none, the whole image. In another's layout oneDNN falls
// back to its reference implementation, a hundred times as slow, for some bands. `whole`: without bias and ReLU,
// on which the layout does not depend.
const Bands& choose_bands(const Piece& whole, std::int64_t wanted) {
    libraries_on_one_thread();  // oneDNN's choices depend on the number of its threads
    const dnnl::primitive_attr attributes;
    const auto described = [&](std::int64_t index, const Layout& weight) {
        return describe_forward(attributes, layouts(band_piece(whole, wanted, index), weight));
    };
    const auto suits_all = [&](const Layout& weight) {
        for (std::int64_t i = 0; i < wanted; ++i)
            if (std::string_view(described(i, weight).impl_info_str()).starts_with("ref")) return false;
        return true;
    };
    static std::mutex mutex;
    static std::map<std::pair<Piece, std::int64_t>, Bands> chosen;
    const std::lock_guard lock(mutex);
    if (const auto known = chosen.find({whole, wanted}); known != chosen.end()) return known->second;
    const Layout any = weight_layout(whole, Tag::any),
                 of_whole = describe_forward(attributes, layouts(whole, any)).weights_desc();
    Bands bands{suits_all(of_whole) ? wanted : 1, of_whole};
    for (std::int64_t i = 0; i < wanted && bands.count < wanted; ++i)
        if (const Layout own = described(i, any).weights_desc(); suits_all(own)) bands = {wanted, own};
    return chosen.emplace(std::pair(whole, wanted), bands).first->second;
}

// Forward the weights are in the layout `shared`.
Convolution make_convolution(const Piece& piece, const Layout& shared) {
    using Input = dnnl::convolution_backward_data;
    using Weight = dnnl::convolution_backward_weights;
    libraries_on_one_thread();
    dnnl::primitive_attr own_scratch, with_relu;  // of everything, and of the forward pass
    for (dnnl::primitive_attr* attributes : {&own_scratch, &with_relu})
        attributes->set_scratchpad_mode(dnnl::scratchpad_mode::user);
    if (piece.relu) with_relu.set_post_ops(relu_behind());
    const bool is_forward = piece.pass == Pass::forward;
    const Layouts l = layouts(piece, is_forward ? shared : weight_layout(piece, Tag::any));
    Piece as_forward = piece;  // whose types a backward pass is the counterpart of
    as_forward.pass = Pass::forward;
    const Forward::primitive_desc forward = describe_forward(
        with_relu, is_forward ? l : layouts(as_forward, weight_layout(as_forward, Tag::any)));
    const std::tuple<const Forward::primitive_desc&> hint(forward);

    Convolution made;
    if (is_forward) {
        take<Forward>(made, forward, l.weight);
    } else if (piece.pass == Pass::backward_input) {
        const auto description =
            describe<Input>(own_scratch, hint, direct, l.x, l.weight, l.y, l.strides, l.above, l.below);
        take<Input>(made, description, description.weights_desc());
    } else {
        const auto description = describe<Weight>(own_scratch, hint, direct, l.x, l.weight, l.bias, l.y,
                                                  l.strides, l.above, l.below);
        take<Weight>(made, description, description.diff_weights_desc());
    }
    made.x = l.x, made.y = l.y, made.bias = l.bias, made.stored_weight = weight_layout(piece, Tag::oihw);

    const bool gradient = piece.pass == Pass::backward_weight;
    const dnnl::reorder::primitive_desc reorder(engine(), gradient ? made.weight : made.stored_weight,
                                                engine(), gradient ? made.stored_weight : made.weight,
                                                own_scratch);
    made.reorder = dnnl::reorder(reorder);
    made.reorder_scratch = reorder.scratchpad_desc();
    return made;
}

// The primitive for `piece`, made at its first use; the reference stays valid.
const Convolution& convolution_for(const Piece& piece, const Layout& shared = {}) {
    static std::mutex mutex;
    static std::map<Piece, Convolution> made;
    const std::lock_guard lock(mutex);
    const auto found = made.find(piece);
    if (found != made.end()) return found->second;
    return made.emplace(piece, make_convolution(piece, shared)).first->second;
}

Memory at(const Layout& layout, const void* address) {
    return Memory(layout, engine(), const_cast<void*>(address));
}

// Runs `primitive` on this thread alone.
void run(const dnnl::primitive& primitive, const Layout& scratch, std::unordered_map<int, Memory> arguments) {
    libraries_on_one_thread();
    arguments[DNNL_ARG_SCRATCHPAD] = at(scratch, own_memory(Use::scratch, scratch.get_size()));
    primitive.execute(stream(), arguments);
}

// Into the primitive's layout.
void reorder_weight(const Convolution& c, float* ordered, const void* weight) {
    run(c.reorder, c.reorder_scratch,
        {{DNNL_ARG_FROM, at(c.stored_weight, weight)}, {DNNL_ARG_TO, at(c.weight, ordered)}});
}

std::int64_t floats(const Layout& layout) {
    return static_cast<std::int64_t>(layout.get_size() / sizeof(float));
}

// The work of a pass, in elements as partition.h counts them: one core does a few dozen operations of a
// product in the time of an element.
std::int64_t elements_of_work(const Conv2dShape& shape) {
    constexpr std::int64_t operations_per_element = 64;
    return shape.out_rows() * shape.weights() / (operations_per_element / 2);
}

// ---- forward ----------------------------------------------------------------------------------------------

constexpr std::int64_t wanted_pieces = 16, least_rows_of_band = 8;

const Bands& bands_of(const Conv2dShape& shape, bool rounded) {
    const std::int64_t most = wanted_pieces / std::max(shape.batch, std::int64_t{1}),
                       wanted = std::clamp(shape.out_height() / least_rows_of_band, std::int64_t{1},
                                           std::max(most, std::int64_t{1}));
    return choose_bands(whole_images(Pass::forward, shape, 1, rounded, false), wanted);
}

// Rows of an image's output from `begin` on, and the rows of its input, from `first` on, that they need.
struct Band {
    const Convolution* convolution;
    std::int64_t begin, first, rows;
};

Band band_of(const Conv2dShape& shape, const Bands& bands, std::int64_t index, bool rounded, bool biased,
             bool relu) {
    const Piece piece =
        band_piece(whole_images(Pass::forward, shape, 1, rounded, biased, relu), bands.count, index);
    return {&convolution_for(piece, bands.weight), row_slice(shape.out_height(), bands.count, index).begin,
            piece.first, piece.last - piece.first};
}

// ---- backward, weight -------------------------------------------------------------------------------------

// Slices of the batch: enough work in each to be worth the writing, reordering and adding of a gradient.
std::int64_t slices_of(const Conv2dShape& shape) {
    constexpr std::int64_t least_rows = 512;
    return std::clamp(std::min(shape.out_rows() / least_rows, shape.batch), std::int64_t{1}, max_row_slices);
}

// ---- the three passes -------------------------------------------------------------------------------------
//
// T: the type of the weight, in which operands are read. A weight in bf16 is put into the primitive's layout
// in this thread's memory: its layout may be larger than that in float, whose size the caller's workspace
// has.

template <class T>
constexpr bool rounds = std::is_same_v<T, bf16>;

template <class T>
float* ordered_weight(const Convolution& c, float* workspace, const T* weight) {
    float* const ordered = rounds<T> ? own_memory(Use::weights, c.weight.get_size()) : workspace;
    reorder_weight(c, ordered, weight);
    return ordered;
}

template <class T>
void forward(float* y, float* workspace, const float* x, const T* weight, const float* bias, bool relu,
             const Conv2dShape& shape) {
    if (shape.batch == 0) return;
    const Bands& chosen = bands_of(shape, rounds<T>);
    const std::int64_t bands = chosen.count, x_row = shape.width * shape.C,
                       y_row = shape.out_width() * shape.N;
    std::array<Band, wanted_pieces> band;
    for (std::int64_t i = 0; i < bands; ++i)
        band[static_cast<std::size_t>(i)] = band_of(shape, chosen, i, rounds<T>, bias != nullptr, relu);
    const float* const ordered = ordered_weight(*band[0].convolution, workspace, weight);
    for_each_task(shape.batch * bands, elements_of_work(shape), [=, &band](std::int64_t task) {
        const auto [convolution, begin, first, rows] = band[static_cast<std::size_t>(task % bands)];
        const std::int64_t image = task / bands;
        const Convolution& c = *convolution;
        const float* const source = x + (image * shape.height + first) * x_row;
        run(c.primitive, c.scratch,
            {{DNNL_ARG_SRC, at(c.x, operand<T>(Use::x, source, rows * x_row))},
             {DNNL_ARG_WEIGHTS, at(c.weight, ordered)},
             {DNNL_ARG_BIAS, at(c.bias, bias)},
             {DNNL_ARG_DST, at(c.y, y + (image * shape.out_height() + begin) * y_row)}});
    });
}

template <class T>
void backward_input(float* dx, float* workspace, const float* dy, const T* weight, const Conv2dShape& shape) {
    const std::int64_t x_image = shape.height * shape.width * shape.C,
                       y_image = shape.out_height() * shape.out_width() * shape.N;
    const Convolution& c = convolution_for(whole_images(Pass::backward_input, shape, 1, rounds<T>, false));
    const float* const ordered = ordered_weight(c, workspace, weight);
    for_each_task(shape.batch, elements_of_work(shape), [=, &c](std::int64_t image) {
        run(c.primitive, c.scratch,
            {{DNNL_ARG_DIFF_DST, at(c.y, operand<T>(Use::y, dy + image * y_image, y_image))},
             {DNNL_ARG_WEIGHTS, at(c.weight, ordered)},
             {DNNL_ARG_DIFF_SRC, at(c.x, dx + image * x_image)}});
    });
}

template <class T>
void backward_weight(float* d_weight, float* d_bias, float* workspace, const float* dy, const float* x,
                     const Conv2dShape& shape) {
    if (shape.batch == 0) return;
    const std::int64_t slices = slices_of(shape), x_image = shape.height * shape.width * shape.C,
                       y_image = shape.out_height() * shape.out_width() * shape.N,
                       stride = shape.weights() + shape.N;
    const bool biased = d_bias != nullptr;
    const auto slice_of = [=](std::int64_t images) {
        return &convolution_for(whole_images(Pass::backward_weight, shape, images, rounds<T>, biased));
    };
    const std::int64_t images = shape.batch / slices;  // of a slice, or one more
    const Convolution* const sizes[] = {slice_of(images),
                                        shape.batch % slices == 0 ? nullptr : slice_of(images + 1)};
    for_each_task(slices, elements_of_work(shape), [=](std::int64_t slice) {
        const auto [begin, end] = row_slice(shape.batch, slices, slice);
        const Convolution& c = *sizes[end - begin - images];
        float* const part = workspace + slice * stride;
        float* const ordered = own_memory(Use::weights, c.weight.get_size());
        run(c.primitive, c.scratch,
            {{DNNL_ARG_SRC, at(c.x, operand<T>(Use::x, x + begin * x_image, (end - begin) * x_image))},
             {DNNL_ARG_DIFF_DST, at(c.y, operand<T>(Use::y, dy + begin * y_image, (end - begin) * y_image))},
             {DNNL_ARG_DIFF_WEIGHTS, at(c.weight, ordered)},
             {DNNL_ARG_DIFF_BIAS, at(c.bias, part + shape.weights())}});
        run(c.reorder, c.reorder_scratch,
            {{DNNL_ARG_FROM, at(c.weight, ordered)}, {DNNL_ARG_TO, at(c.stored_weight, part)}});
    });
    add_slices(d_weight, workspace, stride, slices, shape.weights());
    if (biased) add_slices(d_bias, workspace + shape.weights(), stride, slices, shape.N);
}

}  // namespace

void conv2d_forward(float* y, float* workspace, const float* x, const float* weight, const float* bias,
                    bool relu, const Conv2dShape& shape) {
    forward(y, workspace, x, weight, bias, relu, shape);
}
void conv2d_forward(float* y, float* workspace, const float* x, const bf16* weight, const float* bias,
                    bool relu, const Conv2dShape& shape) {
    forward(y, workspace, x, weight, bias, relu, shape);
}
std::int64_t conv2d_forward_workspace(const Conv2dShape& shape) {
    return floats(bands_of(shape, false).weight);
}

void conv2d_backward_input(float* dx, float* workspace, const float* dy, const float* weight,
                           const Conv2dShape& shape) {
    backward_input(dx, workspace, dy, weight, shape);
}
void conv2d_backward_input(float* dx, float* workspace, const float* dy, const bf16* weight,
                           const Conv2dShape& shape) {
    backward_input(dx, workspace, dy, weight, shape);
}
std::int64_t conv2d_backward_input_workspace(const Conv2dShape& shape) {
    return floats(convolution_for(whole_images(Pass::backward_input, shape, 1, false, false)).weight);
}

void conv2d_backward_weight(float* d_weight, float* d_bias, float* workspace, const float* dy, const float* x,
                            const Conv2dShape& shape) {
    backward_weight<float>(d_weight, d_bias, workspace, dy, x, shape);
}
void conv2d_backward_weight(Bf16ProductSum d_weight, float* d_bias, float* workspace, const float* dy,
                            const float* x, const Conv2dShape& shape) {
    backward_weight<bf16>(d_weight.value, d_bias, workspace, dy, x, shape);
}
std::int64_t conv2d_backward_weight_workspace(const Conv2dShape& shape) {
    return slices_of(shape) * (shape.weights() + shape.N);
}

}  // namespace cpu
