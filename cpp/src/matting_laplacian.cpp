// SPDX-License-Identifier: MIT
#include "fastsoft/matting_laplacian.hpp"

#include <algorithm>
#include <array>
#include <limits>
#include <type_traits>
#include <utility>
#include <vector>

#include "fastsoft/core/error.hpp"
#include "fastsoft/core/parallel.hpp"
#include "fastsoft/detail/grid_neighbours.hpp"
#include "fastsoft/detail/matting_laplacian_checks.hpp"
#include "fastsoft/detail/matting_laplacian_pixel.hpp"

namespace fastsoft {
namespace {

// Eight neighbouring columns. The compiler splits it where registers are narrower.
typedef double Pack __attribute__((vector_size(64)));
typedef double PackInMemory __attribute__((vector_size(64), aligned(8), may_alias));
constexpr int kLanes = 8;

// Not memcpy: GCC copies that in halves through the stack, where one wide load then waits for two narrow stores.
inline void load(Pack& pack, const double* source) {
    pack = *reinterpret_cast<const PackInMemory*>(source);
}

inline void store(double* target, const Pack& pack) {
    *reinterpret_cast<PackInMemory*>(target) = pack;
}

// The image is cut into tiles that own kTileRows rows and kTileCols - 4 Radius columns. A tile computes the stored
// half of its rows of W, and again that of the pixels up to 2 Radius before and beside its own, so that both halves of
// its rows are at hand in cache. Recomputing costs 10 %, and the bits are the same wherever an entry is computed.
constexpr int kTileRows = 32;
constexpr int kTileCols = 128;
constexpr std::ptrdiff_t kTilesPerTask = 4;

// T: of the image. Value: of the results.
template <int Radius, class T, class Value = T>
class Tile {
public:
    static constexpr int kReach = 2 * Radius;
    static constexpr int kOwnCols = kTileCols - 2 * kReach;
    static constexpr int kSide = 2 * Radius + 1;
    static constexpr int kSpan = 4 * Radius + 1;
    static constexpr int kPlanes = detail::kMattingPlanes<Radius>;

    Tile() : image_(kImageRows * kImageRow), windows_(kSide * kWindowRow), entries_(kPlanes * kPlane) {}

    // Computes the tile whose first own pixel is (row0, col0), or the part of it that ends before (row1, col1).
    void compute(const View<const T, 3>& image, MattingMatrix matrix, double epsilon, std::ptrdiff_t row0,
                 std::ptrdiff_t col0, std::ptrdiff_t row1 = std::numeric_limits<std::ptrdiff_t>::max(),
                 std::ptrdiff_t col1 = std::numeric_limits<std::ptrdiff_t>::max()) {
        n_rows_ = image.extent(0);
        n_cols_ = image.extent(1);
        row0_ = row0;
        col0_ = col0;
        own_rows_ = static_cast<int>(std::min<std::ptrdiff_t>(kTileRows, std::min(row1, n_rows_) - row0));
        own_cols_ = static_cast<int>(std::min<std::ptrdiff_t>(kOwnCols, std::min(col1, n_cols_) - col0));
        for (int entry = 0; entry < kSpan * kSpan; ++entry) {
            index_step_[static_cast<std::size_t>(entry)] =
                static_cast<std::int32_t>((entry / kSpan - kReach) * n_cols_ + entry % kSpan - kReach);
        }
        const int n_entry_cols = (own_cols_ + 2 * kReach + kLanes - 1) / kLanes * kLanes;
        read_image(image);
        const int n_entry_rows = own_rows_ + kReach;
        for (int row = -Radius; row < Radius; ++row) {
            fill_windows(row, n_entry_cols + kLanes, epsilon);
        }
        for (int row = 0; row < n_entry_rows; ++row) {
            fill_windows(row + Radius, n_entry_cols + kLanes, epsilon);
            fill_entries(row, n_entry_cols, matrix);
        }
        if (matrix == MattingMatrix::laplacian) {
            for (int row = kReach; row < n_entry_rows; ++row) {
                fill_laplacian_diagonal(row);
            }
        }
    }

    void write_stencil(Value* weights) const {
        for (int k = 0; k < kPlanes; ++k) {
            for (int row = 0; row < own_rows_; ++row) {
                const Value* const from = entries_.data() + k * kPlane + (row + kReach) * kTileCols + kReach;
                std::copy(from, from + own_cols_, weights + k * n_rows_ * n_cols_ + (row0_ + row) * n_cols_ + col0_);
            }
        }
    }

    // indptr is complete.
    void write_csr(const std::int64_t* indptr, std::int32_t* indices, Value* data) const {
        for (int row = 0; row < own_rows_; ++row) {
            const std::ptrdiff_t r = row0_ + row;
            const bool inside = r >= kReach && r + kReach < n_rows_;
            for (int col = 0; col < own_cols_; ++col) {
                const std::ptrdiff_t c = col0_ + col;
                const std::ptrdiff_t pixel = r * n_cols_ + c;
                const Value* const centre = entries_.data() + (row + kReach) * kTileCols + col + kReach;
                std::int32_t* const row_indices = indices + indptr[pixel];
                Value* const row_data = data + indptr[pixel];
                if (inside && c >= kReach && c + kReach < n_cols_) {
                    write_whole_row(centre, pixel, row_indices, row_data,
                                    std::make_integer_sequence<int, kSpan * kSpan>());
                } else {
                    write_clipped_row(centre, r, c, row_indices, row_data);
                }
            }
        }
    }

    // Rows of the numbered pixels among the tile's own.
    void write_rows(detail::MaskedStencil& rows) const {
        static_assert(kSpan == detail::kSpan || Radius != 1);
        for (int row = 0; row < own_rows_; ++row) {
            const std::ptrdiff_t r = row0_ + row;
            const std::int32_t* const number = rows.number.data() + r * n_cols_ + col0_;
            const std::ptrdiff_t first = rows.row_begin[static_cast<std::size_t>(r)];
            const std::ptrdiff_t count = rows.count(r);
            double* const planes = rows.weights.get() + kSpan * kSpan * first;
            const Value* const line = entries_.data() + (row + kReach) * kTileCols + kReach;
            for (int begin = 0; begin < own_cols_;) {
                if (number[begin] < 0) {
                    ++begin;
                    continue;
                }
                int end = begin;
                while (end < own_cols_ && number[end] >= 0) {
                    ++end;
                }
                double* const target = planes + number[begin] - first;
                for (int e = 0; e < kSpan * kSpan; ++e) {
                    const Value* const from = line + entry_offset(e / kSpan - kReach, e % kSpan - kReach);
                    std::copy(from + begin, from + end, target + e * count);
                }
                begin = end;
            }
        }
    }

private:
    // Windows reach Radius beyond the entries' columns and are computed a pack at a time; colours reach as far again.
    static constexpr int kWindowCols = kTileCols + kLanes;
    static constexpr int kImageCols = kWindowCols + kLanes;
    static constexpr int kImageRows = kTileRows + kReach + 2 * kReach;
    static constexpr int kImageRow = 3 * kImageCols;
    static constexpr int kWindowNumbers = 10;
    static constexpr int kWindowRow = kWindowNumbers * kWindowCols;
    // Odd in cache lines: the planes of one pixel would otherwise compete for the same few cache sets.
    static constexpr int kPlane = (kTileRows + kReach) * kTileCols + 9 * 8;
    static_assert(2 * Radius <= kLanes);

    // Rows and columns below are the tile's: entry (0, 0) is pixel (row0 - kReach, col0 - kReach). Colours are stored
    // kReach further up and left, windows Radius further left and in a ring of kSide rows.
    double* image_row(int row) { return image_.data() + (row + kReach) * kImageRow; }
    double* window_row(int row) { return windows_.data() + ((row + kSide) % kSide) * kWindowRow; }

    // Colours outside the image meet only windows of weight 0: any finite number does.
    void read_image(const View<const T, 3>& image) {
        for (int row = -kReach; row < own_rows_ + 2 * kReach; ++row) {
            const std::ptrdiff_t r = row0_ - kReach + row;
            double* const out = image_row(row);
            if (r < 0 || r >= n_rows_) {
                std::fill(out, out + kImageRow, 0.0);
                continue;
            }
            const std::ptrdiff_t first = col0_ - 2 * kReach;
            const auto begin = static_cast<int>(std::max<std::ptrdiff_t>(0, -first));
            const auto end = static_cast<int>(std::min<std::ptrdiff_t>(kImageCols, n_cols_ - first));
            for (int k = 0; k < 3; ++k) {
                double* const plane = out + k * kImageCols;
                std::fill(plane, plane + begin, 0.0);
                std::fill(plane + end, plane + kImageCols, 0.0);
            }
            const T* source = &image(r, first + begin, 0);
            const std::ptrdiff_t step = image.stride(1);
            const std::ptrdiff_t channel = image.stride(2);
            for (int c = begin; c < end; ++c, source += step) {
                out[c] = static_cast<double>(source[0]);
                out[c + kImageCols] = static_cast<double>(source[channel]);
                out[c + 2 * kImageCols] = static_cast<double>(source[2 * channel]);
            }
        }
    }

    void fill_windows(int row, int n_cols, double epsilon) {
        double* const out = window_row(row);
        const std::ptrdiff_t r = row0_ - kReach + row;
        if (r < Radius || r + Radius >= n_rows_) {
            std::fill(out, out + kWindowRow, 0.0);
            return;
        }
        for (int col = 0; col < n_cols; col += kLanes) {
            Pack colour[kSide * kSide][3];
#pragma GCC unroll 16
            for (int a = 0; a < kSide; ++a) {
                const double* const source = image_row(row + a - Radius) + col;
#pragma GCC unroll 16
                for (int b = 0; b < kSide; ++b) {
#pragma GCC unroll 3
                    for (int k = 0; k < 3; ++k) {
                        load(colour[a * kSide + b][k], source + k * kImageCols + b);
                    }
                }
            }
            detail::MattingWindow<Pack> window;
            detail::matting_window<Radius>(colour, epsilon, window);
            store(out + col, window.inside);
            for (int k = 0; k < 3; ++k) {
                store(out + (1 + k) * kWindowCols + col, window.mean[k]);
                store(out + (4 + k) * kWindowCols + col, window.lower[k]);
                store(out + (7 + k) * kWindowCols + col, window.inverse_pivot[k]);
            }
        }
        // Windows that leave the image at either side.
        const std::ptrdiff_t first = col0_ - kReach - Radius;
        const auto begin = static_cast<int>(std::clamp<std::ptrdiff_t>(Radius - first, 0, kWindowCols));
        const auto end = static_cast<int>(std::clamp<std::ptrdiff_t>(n_cols_ - Radius - first, 0, kWindowCols));
        for (int k = 0; k < kWindowNumbers; ++k) {
            std::fill(out + k * kWindowCols, out + k * kWindowCols + begin, 0.0);
            std::fill(out + k * kWindowCols + end, out + (k + 1) * kWindowCols, 0.0);
        }
    }

    void fill_entries(int row, int n_cols, MattingMatrix matrix) {
        constexpr double share = 1.0 / (kSide * kSide);
        const double scale = matrix == MattingMatrix::affinity ? share : -share;
        const double* windows[kSide];
        for (int a = 0; a < kSide; ++a) {
            windows[a] = window_row(row + a - Radius);
        }
        Value* const out = entries_.data() + row * kTileCols;
        for (int col = 0; col < n_cols; col += kLanes) {
            const double* const colours = image_row(row) + col + kReach;
            Pack own[3];
            for (int k = 0; k < 3; ++k) {
                load(own[k], colours + k * kImageCols);
            }
            detail::matting_pixel<Radius>(
                own,
                [&](int a, int b, detail::MattingWindow<Pack>& window) {
                    const double* const source = windows[a + Radius] + col + b + Radius;
                    load(window.inside, source);
#pragma GCC unroll 3
                    for (int k = 0; k < 3; ++k) {
                        load(window.mean[k], source + (1 + k) * kWindowCols);
                        load(window.lower[k], source + (4 + k) * kWindowCols);
                        load(window.inverse_pivot[k], source + (7 + k) * kWindowCols);
                    }
                },
                [&](int dr, int dc, Pack(&colour)[3]) {
#pragma GCC unroll 3
                    for (int k = 0; k < 3; ++k) {
                        load(colour[k], colours + dr * kImageRow + k * kImageCols + dc);
                    }
                },
                [&](int plane, const Pack& value) {
                    // Adding 0 turns the -0 of pairs outside the image into 0.
                    const Pack scaled = value * scale + 0.0;
                    Value* const target = out + plane * kPlane + col;
                    if constexpr (std::is_same_v<Value, double>) {
                        store(target, scaled);
                    } else {
                        for (int lane = 0; lane < kLanes; ++lane) {
                            target[lane] = static_cast<Value>(scaled[lane]);
                        }
                    }
                });
        }
    }

    // Minus the sum of the row's other entries, in double, of the numbers as stored.
    void fill_laplacian_diagonal(int row) {
        std::array<double, kOwnCols> sum{};
        for (int dr = 0; dr <= kReach; ++dr) {
            for (int dc = dr == 0 ? 1 : -kReach; dc <= kReach; ++dc) {
                const Value* const plane = entries_.data() + detail::matting_plane<Radius>(dr, dc) * kPlane;
                const Value* const after = plane + row * kTileCols + kReach;
                const Value* const before = plane + (row - dr) * kTileCols + kReach - dc;
                for (std::size_t c = 0; c < kOwnCols; ++c) {
                    sum[c] += static_cast<double>(after[c]) + static_cast<double>(before[c]);
                }
            }
        }
        Value* const diagonal = entries_.data() + row * kTileCols + kReach;
        for (std::size_t c = 0; c < kOwnCols; ++c) {
            diagonal[c] = static_cast<Value>(0.0 - sum[c]);
        }
    }

    // Where entry (p, p + (a, b)) lies relative to p's own place in plane 0: earlier neighbours keep it for us.
    static constexpr int entry_offset(int a, int b) {
        return a < 0 || (a == 0 && b < 0) ? detail::matting_plane<Radius>(-a, -b) * kPlane + a * kTileCols + b
                                          : detail::matting_plane<Radius>(a, b) * kPlane;
    }

    template <int... Entry>
    void write_whole_row(const Value* centre, std::ptrdiff_t pixel, std::int32_t* indices, Value* data,
                         std::integer_sequence<int, Entry...>) const {
        ((data[Entry] = centre[entry_offset(Entry / kSpan - kReach, Entry % kSpan - kReach)]), ...);
        for (std::size_t entry = 0; entry < index_step_.size(); ++entry) {
            indices[entry] = static_cast<std::int32_t>(pixel) + index_step_[entry];
        }
    }

    void write_clipped_row(const Value* centre, std::ptrdiff_t r, std::ptrdiff_t c, std::int32_t* indices,
                           Value* data) const {
        for (int a = -kReach; a <= kReach; ++a) {
            for (int b = -kReach; b <= kReach; ++b) {
                if (r + a >= 0 && r + a < n_rows_ && c + b >= 0 && c + b < n_cols_) {
                    *data++ = centre[entry_offset(a, b)];
                    *indices++ = static_cast<std::int32_t>((r + a) * n_cols_ + c + b);
                }
            }
        }
    }

    std::vector<double> image_;
    std::vector<double> windows_;
    std::vector<Value> entries_;
    std::array<std::int32_t, kSpan * kSpan> index_step_{};  // column of an entry less that of the diagonal
    std::ptrdiff_t n_rows_ = 0;
    std::ptrdiff_t n_cols_ = 0;
    std::ptrdiff_t row0_ = 0;
    std::ptrdiff_t col0_ = 0;
    int own_rows_ = 0;
    int own_cols_ = 0;
};

template <int Radius, class T, class Write>
void for_each_tile(const View<const T, 3>& image, MattingMatrix matrix, double epsilon, const Write& write) {
    const std::ptrdiff_t tiles_down = (image.extent(0) + kTileRows - 1) / kTileRows;
    const std::ptrdiff_t tiles_across = (image.extent(1) + Tile<Radius, T>::kOwnCols - 1) / Tile<Radius, T>::kOwnCols;
    parallel_for(tiles_down * tiles_across, kTilesPerTask, [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
        Tile<Radius, T> tile;
        for (std::ptrdiff_t i = begin; i < end; ++i) {
            tile.compute(image, matrix, epsilon, i / tiles_across * kTileRows,
                         i % tiles_across * Tile<Radius, T>::kOwnCols);
            write(tile);
        }
    });
}

}  // namespace

template <class T>
void matting_laplacian_csr(const View<const T, 3>& image, MattingMatrix matrix, double epsilon, int radius,
                           std::int64_t* indptr, std::int32_t* indices, T* data) {
    detail::check_matting_image(image, epsilon, radius);
    const std::ptrdiff_t n_rows = image.extent(0);
    const std::ptrdiff_t n_cols = image.extent(1);
    for (std::ptrdiff_t r = 0; r < n_rows; ++r) {
        const std::int64_t down = detail::n_neighbours(r, n_rows, 2 * radius);
        std::int64_t entry = detail::grid_row_begin(r, 0, n_rows, n_cols, 2 * radius);
        for (std::ptrdiff_t c = 0; c < n_cols; ++c) {
            indptr[r * n_cols + c] = entry;
            entry += down * detail::n_neighbours(c, n_cols, 2 * radius);
        }
    }
    indptr[n_rows * n_cols] = matting_n_entries(n_rows, n_cols, radius);

    const auto write = [&](const auto& tile) { tile.write_csr(indptr, indices, data); };
    switch (radius) {
        case 1:
            for_each_tile<1>(image, matrix, epsilon, write);
            break;
        case 2:
            for_each_tile<2>(image, matrix, epsilon, write);
            break;
        default:
            for_each_tile<3>(image, matrix, epsilon, write);
            break;
    }
}

template <class T>
void matting_laplacian_stencil(const View<const T, 3>& image, MattingMatrix matrix, double epsilon, T* weights) {
    detail::check_matting_image(image, epsilon, 1);
    for_each_tile<1>(image, matrix, epsilon, [&](const auto& tile) { tile.write_stencil(weights); });
}

template <class T>
void matting_laplacian_rows(const View<const T, 3>& image, double epsilon, detail::MaskedStencil& rows) {
    detail::check_matting_image(image, epsilon, 1);
    FASTSOFT_EXPECTS(rows.n_rows == image.extent(0) && rows.n_cols == image.extent(1),
                     "rows must be of an image of the same size");
    rows.weights = make_large_buffer<double>(static_cast<std::size_t>(detail::kStencilRow * rows.n));
    using RowTile = Tile<1, T, double>;
    const std::ptrdiff_t tiles_down = (rows.n_rows + kTileRows - 1) / kTileRows;
    const std::ptrdiff_t tiles_across = (rows.n_cols + RowTile::kOwnCols - 1) / RowTile::kOwnCols;
    parallel_for(tiles_down * tiles_across, kTilesPerTask, [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
        RowTile tile;
        for (std::ptrdiff_t i = begin; i < end; ++i) {
            const std::ptrdiff_t first_row = i / tiles_across * kTileRows;
            const std::ptrdiff_t first_col = i % tiles_across * RowTile::kOwnCols;
            const std::ptrdiff_t last_row = std::min<std::ptrdiff_t>(first_row + kTileRows, rows.n_rows);
            const std::ptrdiff_t last_col = std::min<std::ptrdiff_t>(first_col + RowTile::kOwnCols, rows.n_cols);
            // The box around the pixels asked for.
            std::ptrdiff_t row0 = last_row;
            std::ptrdiff_t row1 = first_row;
            std::ptrdiff_t col0 = last_col;
            std::ptrdiff_t col1 = first_col;
            for (std::ptrdiff_t r = first_row; r < last_row; ++r) {
                const std::int32_t* const number = rows.number.data() + r * rows.n_cols;
                std::ptrdiff_t left = first_col;
                while (left < last_col && number[left] < 0) {
                    ++left;
                }
                if (left == last_col) {
                    continue;
                }
                std::ptrdiff_t right = last_col;
                while (number[right - 1] < 0) {
                    --right;
                }
                row0 = std::min(row0, r);
                row1 = r + 1;
                col0 = std::min(col0, left);
                col1 = std::max(col1, right);
            }
            if (row0 < row1) {
                tile.compute(image, MattingMatrix::laplacian, epsilon, row0, col0, row1, col1);
                tile.write_rows(rows);
            }
        }
    });
}

template void matting_laplacian_rows(const View<const float, 3>&, double, detail::MaskedStencil&);
template void matting_laplacian_rows(const View<const double, 3>&, double, detail::MaskedStencil&);
template void matting_laplacian_csr(const View<const float, 3>&, MattingMatrix, double, int, std::int64_t*,
                                    std::int32_t*, float*);
template void matting_laplacian_csr(const View<const double, 3>&, MattingMatrix, double, int, std::int64_t*,
                                    std::int32_t*, double*);
template void matting_laplacian_stencil(const View<const float, 3>&, MattingMatrix, double, float*);
template void matting_laplacian_stencil(const View<const double, 3>&, MattingMatrix, double, double*);

}  // namespace fastsoft
