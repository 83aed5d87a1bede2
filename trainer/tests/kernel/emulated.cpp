// Reads a job from stdin, runs a kernel of select.cu on it, and writes what it computed to stdout.
//
// in: kind (0 select, 1 quantize), values, pieces, room: u32 each; the values; the pieces.
// out: bad; counts, indices and kept, or scales and levels.

#include "emulated.hpp"

#include "../../src/cuda/select.cu"

template <typename T> static std::vector<T> take(size_t count) {
    std::vector<T> items(count);
    if (std::fread(items.data(), sizeof(T), count, stdin) != count) std::exit(1);
    return items;
}

template <typename T> static void give(const std::vector<T> &items) {
    std::fwrite(items.data(), sizeof(T), items.size(), stdout);
}

int main() {
    const std::vector<unsigned> head = take<unsigned>(4);
    const std::vector<float> values = take<float>(head[1]);
    const std::vector<Piece> pieces = take<Piece>(head[2]);
    const unsigned room = head[3], blocks = head[2] < 3 ? head[2] : 3;
    std::vector<unsigned> bad(1);
    if (head[0] == 0) {
        const size_t slots = (size_t)head[2] * room;
        std::vector<unsigned> counts(head[2]), indices(slots);
        std::vector<float> kept(slots);
        launch(blocks, THREADS, [&] {
            select_largest(values.data(), pieces.data(), head[2], room, counts.data(),
                           indices.data(), kept.data(), bad.data());
        });
        give(bad), give(counts), give(indices), give(kept);
    } else {
        std::vector<float> scales(head[2]);
        std::vector<signed char> levels(head[1]);
        launch(blocks, THREADS, [&] {
            quantize_blocks(values.data(), pieces.data(), head[2], scales.data(), levels.data(),
                            bad.data());
        });
        give(bad), give(scales), give(levels);
    }
    return 0;
}
