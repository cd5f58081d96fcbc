// SPDX-License-Identifier: MIT
#include "fastsoft/detail/nested_dissection.hpp"

#include <algorithm>
#include <numeric>

namespace fastsoft::detail {
namespace {

// Below this many unknowns a part is eliminated as one dense front: small enough to add little fill, large enough for
// dense kernels. Not tuned.
constexpr std::ptrdiff_t kLeafSize = 64;

// Collects fronts in post-order. A front is opened when its unknowns are known, after its children were closed.
class TreeBuilder {
public:
    explicit TreeBuilder(EliminationTree& tree) : tree_(tree) {}

    // Appends a front that owns `unknowns` and whose children are the given fronts; returns its index.
    std::int32_t add(const std::vector<std::int32_t>& unknowns, const std::vector<std::int32_t>& children) {
        const auto index = static_cast<std::int32_t>(tree_.fronts.size());
        Front front;
        front.begin = static_cast<std::int32_t>(tree_.order.size());
        tree_.order.insert(tree_.order.end(), unknowns.begin(), unknowns.end());
        front.end = static_cast<std::int32_t>(tree_.order.size());
        front.subtree_begin = index;
        std::int32_t previous = -1;
        for (const std::int32_t child : children) {
            if (child < 0) {
                continue;
            }
            Front& c = tree_.fronts[static_cast<std::size_t>(child)];
            c.parent = index;
            if (previous < 0) {
                front.first_child = child;
                front.subtree_begin = c.subtree_begin;
            } else {
                tree_.fronts[static_cast<std::size_t>(previous)].next_sibling = child;
            }
            previous = child;
        }
        tree_.fronts.push_back(front);
        return index;
    }

private:
    EliminationTree& tree_;
};

// Rectangles of a grid, without the pixels marked as last.
class GridDissection {
public:
    GridDissection(TreeBuilder& builder, std::ptrdiff_t n_cols, const std::vector<char>& last)
        : builder_(builder), n_cols_(n_cols), last_(last) {}

    // Returns the root of the rectangle's tree, or -1 where it holds nothing to eliminate.
    std::int32_t dissect(std::ptrdiff_t row0, std::ptrdiff_t row1, std::ptrdiff_t col0, std::ptrdiff_t col1) {
        const std::ptrdiff_t height = row1 - row0;
        const std::ptrdiff_t width = col1 - col0;
        if (height <= 0 || width <= 0) {
            return -1;
        }
        // A separator takes two lines; with fewer than five across nothing is left on both sides.
        if (height * width <= kLeafSize || std::max(height, width) < 2 * kStencilRadius + 1) {
            const auto own = pixels(row0, row1, col0, col1);
            return own.empty() ? -1 : builder_.add(own, {});
        }
        std::vector<std::int32_t> children;
        std::vector<std::int32_t> separator;
        if (height >= width) {
            const std::ptrdiff_t cut = row0 + (height - kStencilRadius) / 2;
            children = {dissect(row0, cut, col0, col1), dissect(cut + kStencilRadius, row1, col0, col1)};
            separator = pixels(cut, cut + kStencilRadius, col0, col1);
        } else {
            const std::ptrdiff_t cut = col0 + (width - kStencilRadius) / 2;
            children = {dissect(row0, row1, col0, cut), dissect(row0, row1, cut + kStencilRadius, col1)};
            separator = pixels(row0, row1, cut, cut + kStencilRadius);
        }
        return builder_.add(separator, children);
    }

private:
    std::vector<std::int32_t> pixels(std::ptrdiff_t row0, std::ptrdiff_t row1, std::ptrdiff_t col0,
                                     std::ptrdiff_t col1) const {
        std::vector<std::int32_t> found;
        found.reserve(static_cast<std::size_t>((row1 - row0) * (col1 - col0)));
        for (std::ptrdiff_t row = row0; row < row1; ++row) {
            for (std::ptrdiff_t col = col0; col < col1; ++col) {
                const std::ptrdiff_t pixel = row * n_cols_ + col;
                if (last_[static_cast<std::size_t>(pixel)] == 0) {
                    found.push_back(static_cast<std::int32_t>(pixel));
                }
            }
        }
        return found;
    }

    TreeBuilder& builder_;
    std::ptrdiff_t n_cols_;
    const std::vector<char>& last_;
};

// Any graph: the separator is the middle level of a breadth-first search from a vertex at the rim.
template <class T>
class GraphDissection {
public:
    GraphDissection(TreeBuilder& builder, const SymmetricOperator<T>& matrix)
        : builder_(builder),
          matrix_(matrix),
          part_(static_cast<std::size_t>(matrix.n), 0),
          level_(static_cast<std::size_t>(matrix.n), -1) {}

    std::int32_t dissect(std::vector<std::int32_t> vertices) {
        if (vertices.empty()) {
            return -1;
        }
        std::sort(vertices.begin(), vertices.end());
        if (static_cast<std::ptrdiff_t>(vertices.size()) <= kLeafSize) {
            return builder_.add(vertices, {});
        }
        const std::int32_t part = ++n_parts_;
        for (const auto v : vertices) {
            part_[static_cast<std::size_t>(v)] = part;
        }
        // The last vertex that a search reaches lies at the rim; two searches suffice in practice.
        std::vector<std::int32_t> reached = search(vertices.front(), part);
        if (reached.size() < vertices.size()) {
            return dissect_components(vertices, part);
        }
        clear(reached);
        reached = search(reached.back(), part);
        const std::int32_t depth = level_[static_cast<std::size_t>(reached.back())];
        const std::int32_t middle = level_[static_cast<std::size_t>(reached[reached.size() / 2])];
        std::vector<std::int32_t> before;
        std::vector<std::int32_t> separator;
        std::vector<std::int32_t> after;
        for (const auto v : reached) {
            const std::int32_t level = level_[static_cast<std::size_t>(v)];
            (level < middle ? before : level == middle ? separator : after).push_back(v);
        }
        clear(reached);
        if (depth < 2 || before.empty() || after.empty()) {
            return builder_.add(vertices, {});  // nearly complete graph: dense elimination is right
        }
        const std::int32_t first = dissect(std::move(before));
        const std::int32_t second = dissect(std::move(after));
        std::sort(separator.begin(), separator.end());
        return builder_.add(separator, {first, second});
    }

private:
    // Connected components need no separator. Small ones share a front, so that a matrix of many tiny blocks does not
    // become as many fronts.
    std::int32_t dissect_components(const std::vector<std::int32_t>& vertices, std::int32_t part) {
        clear(vertices);
        std::vector<std::vector<std::int32_t>> groups;
        bool open = false;  // whether the last group may take more
        for (const auto v : vertices) {
            if (level_[static_cast<std::size_t>(v)] >= 0) {
                continue;
            }
            const std::vector<std::int32_t> component = search(v, part);
            const bool is_small = static_cast<std::ptrdiff_t>(component.size()) <= kLeafSize;
            if (is_small && open && static_cast<std::ptrdiff_t>(groups.back().size() + component.size()) <= kLeafSize) {
                groups.back().insert(groups.back().end(), component.begin(), component.end());
            } else {
                groups.push_back(component);
                open = is_small;
            }
        }
        clear(vertices);
        std::vector<std::int32_t> children;
        children.reserve(groups.size());
        for (auto& group : groups) {
            children.push_back(dissect(std::move(group)));
        }
        return builder_.add({}, children);
    }

    std::vector<std::int32_t> search(std::int32_t start, std::int32_t part) {
        std::vector<std::int32_t> queue{start};
        level_[static_cast<std::size_t>(start)] = 0;
        for (std::size_t head = 0; head < queue.size(); ++head) {
            const std::int32_t v = queue[head];
            for_each_in_row(matrix_, v, [&](std::ptrdiff_t w, T value) {
                const auto at = static_cast<std::size_t>(w);
                if (value != T(0) && part_[at] == part && level_[at] < 0) {
                    level_[at] = level_[static_cast<std::size_t>(v)] + 1;
                    queue.push_back(static_cast<std::int32_t>(w));
                }
            });
        }
        return queue;
    }

    void clear(const std::vector<std::int32_t>& vertices) {
        for (const auto v : vertices) {
            level_[static_cast<std::size_t>(v)] = -1;
        }
    }

    TreeBuilder& builder_;
    const SymmetricOperator<T>& matrix_;
    std::vector<std::int32_t> part_;
    std::vector<std::int32_t> level_;
    std::int32_t n_parts_ = 0;
};

// Marks the pixels with an edge that leaves the 5x5 stencil of the grid.
template <class T>
std::vector<char> mark_long_edges(const SymmetricOperator<T>& matrix, std::ptrdiff_t n_cols) {
    std::vector<char> marked(static_cast<std::size_t>(matrix.n), 0);
    for (const CsrView<T>& csr : matrix.csrs) {
        for (std::ptrdiff_t i = 0; i < matrix.n; ++i) {
            for (std::int64_t e = csr.indptr[i]; e < csr.indptr[i + 1]; ++e) {
                const std::ptrdiff_t j = csr.indices[e];
                const std::ptrdiff_t dr = j / n_cols - i / n_cols;
                const std::ptrdiff_t dc = j % n_cols - i % n_cols;
                if (std::max(std::abs(dr), std::abs(dc)) > kStencilRadius && csr.data[e] != T(0)) {
                    marked[static_cast<std::size_t>(i)] = 1;
                    marked[static_cast<std::size_t>(j)] = 1;
                }
            }
        }
    }
    return marked;
}

// Places on a grid. Works on one array of points that is partitioned in place, stably.
class PointDissection {
public:
    PointDissection(TreeBuilder& builder, const std::vector<GridPoint>& points, std::ptrdiff_t reach)
        : builder_(builder), reach_(static_cast<std::int32_t>(reach)) {
        items_.reserve(points.size());
        for (std::size_t i = 0; i < points.size(); ++i) {
            items_.push_back({points[i].row, points[i].col, static_cast<std::int32_t>(i)});
        }
        scratch_.resize(points.size());
    }

    std::int32_t dissect(std::size_t begin, std::size_t end) {
        if (begin == end) {
            return -1;
        }
        const Cut cut = end - begin > static_cast<std::size_t>(kLeafSize) ? best_cut(begin, end) : Cut{};
        if (!cut.found) {
            return builder_.add(unknowns(begin, end), {});
        }
        // Before, between and after the lines.
        const auto line = [&](const Item& item) { return cut.is_row ? item.row : item.col; };
        std::size_t first = begin;
        std::size_t between = 0;
        for (std::size_t i = begin; i < end; ++i) {
            if (line(items_[i]) < cut.line) {
                items_[first++] = items_[i];
            } else {
                scratch_[between++] = items_[i];
            }
        }
        std::size_t second = first;
        std::vector<std::int32_t> separator;
        for (std::size_t i = 0; i < between; ++i) {
            if (line(scratch_[i]) < cut.line + reach_) {
                separator.push_back(scratch_[i].unknown);
            } else {
                items_[second++] = scratch_[i];
            }
        }
        const std::int32_t left = dissect(begin, first);
        const std::int32_t right = dissect(first, second);
        return builder_.add(separator, {left, right});
    }

private:
    struct Item {
        std::int32_t row;
        std::int32_t col;
        std::int32_t unknown;
    };
    struct Cut {
        bool found = false;
        bool is_row = false;
        std::int32_t line = 0;
        double cost = 0.0;
    };

    // Fewest unknowns between the parts; parts of unequal size cost more, below one in seven much more.
    Cut best_cut(std::size_t begin, std::size_t end) {
        Item low = items_[begin];
        Item high = low;
        for (std::size_t i = begin; i < end; ++i) {
            low.row = std::min(low.row, items_[i].row);
            low.col = std::min(low.col, items_[i].col);
            high.row = std::max(high.row, items_[i].row);
            high.col = std::max(high.col, items_[i].col);
        }
        per_row_.assign(static_cast<std::size_t>(high.row - low.row) + 1, 0);
        per_col_.assign(static_cast<std::size_t>(high.col - low.col) + 1, 0);
        for (std::size_t i = begin; i < end; ++i) {
            ++per_row_[static_cast<std::size_t>(items_[i].row - low.row)];
            ++per_col_[static_cast<std::size_t>(items_[i].col - low.col)];
        }
        Cut best;
        const auto n = static_cast<std::int32_t>(end - begin);
        const auto consider = [&](const std::vector<std::int32_t>& per_line, std::int32_t first_line, bool is_row) {
            const auto n_lines = static_cast<std::int32_t>(per_line.size());
            std::int32_t before = 0;
            std::int32_t between = 0;
            for (std::int32_t k = 0; k < std::min(reach_, n_lines); ++k) {
                between += per_line[static_cast<std::size_t>(k)];
            }
            for (std::int32_t k = 1; k + reach_ < n_lines; ++k) {
                before += per_line[static_cast<std::size_t>(k - 1)];
                between +=
                    per_line[static_cast<std::size_t>(k + reach_ - 1)] - per_line[static_cast<std::size_t>(k - 1)];
                const std::int32_t after = n - before - between;
                const std::int32_t less = std::min(before, after);
                const double skew = 1.0 - 2.0 * less / n;
                const double cost = (between + 1) * (1.0 + 3.0 * skew * skew * skew) * (7 * less < n ? 4.0 : 1.0);
                if (less > 0 && (!best.found || cost < best.cost)) {
                    best = {true, is_row, first_line + k, cost};
                }
            }
        };
        consider(per_row_, low.row, true);
        consider(per_col_, low.col, false);
        return best;
    }

    std::vector<std::int32_t> unknowns(std::size_t begin, std::size_t end) const {
        std::vector<std::int32_t> found;
        found.reserve(end - begin);
        for (std::size_t i = begin; i < end; ++i) {
            found.push_back(items_[i].unknown);
        }
        return found;
    }

    TreeBuilder& builder_;
    std::int32_t reach_;
    std::vector<Item> items_;
    std::vector<Item> scratch_;
    std::vector<std::int32_t> per_row_;
    std::vector<std::int32_t> per_col_;
};

// Fills in every front's boundary: what its unknowns and its children are coupled with and comes later.
template <class Matrix>
void find_boundaries(const Matrix& matrix, EliminationTree& tree) {
    std::vector<std::int32_t> seen(static_cast<std::size_t>(tree.n), -1);
    std::vector<std::int32_t> found;
    for (std::size_t f = 0; f < tree.fronts.size(); ++f) {
        Front& front = tree.fronts[f];
        found.clear();
        const auto note = [&](std::int32_t position) {
            if (position >= front.end && seen[static_cast<std::size_t>(position)] != static_cast<std::int32_t>(f)) {
                seen[static_cast<std::size_t>(position)] = static_cast<std::int32_t>(f);
                found.push_back(position);
            }
        };
        for (std::int32_t c = front.first_child; c >= 0; c = tree.fronts[static_cast<std::size_t>(c)].next_sibling) {
            const Front& child = tree.fronts[static_cast<std::size_t>(c)];
            std::for_each(tree.boundary_of(child), tree.boundary_of(child) + child.n_boundary, note);
        }
        for (std::int32_t p = front.begin; p < front.end; ++p) {
            for_each_neighbour(matrix, tree.order[static_cast<std::size_t>(p)],
                               [&](std::ptrdiff_t j) { note(tree.position[static_cast<std::size_t>(j)]); });
        }
        std::sort(found.begin(), found.end());
        front.boundary_begin = static_cast<std::int64_t>(tree.boundary.size());
        front.n_boundary = static_cast<std::int32_t>(found.size());
        tree.boundary.insert(tree.boundary.end(), found.begin(), found.end());
    }
}

template <class Matrix>
void finish_tree(const Matrix& matrix, EliminationTree& tree) {
    tree.position.resize(tree.order.size());
    for (std::size_t p = 0; p < tree.order.size(); ++p) {
        tree.position[static_cast<std::size_t>(tree.order[p])] = static_cast<std::int32_t>(p);
    }
    find_boundaries(matrix, tree);
}

}  // namespace

std::int64_t EliminationTree::n_factor_entries() const {
    std::int64_t total = 0;
    for (const Front& front : fronts) {
        total += static_cast<std::int64_t>(front.size()) * front.n_own();
    }
    return total;
}

double EliminationTree::n_flops() const {
    double total = 0.0;
    for (const Front& front : fronts) {
        const double p = front.n_own();
        const double b = front.n_boundary;
        total += p * p * p / 6.0 + p * p * b / 2.0 + p * b * b / 2.0;
    }
    return total;
}

template <class T>
EliminationTree nested_dissection(const SymmetricOperator<T>& matrix, std::ptrdiff_t n_grid_rows,
                                  std::ptrdiff_t n_grid_cols) {
    EliminationTree tree;
    tree.n = matrix.n;
    tree.order.reserve(static_cast<std::size_t>(matrix.n));
    TreeBuilder builder(tree);
    bool on_grid = n_grid_rows > 0;
    if (on_grid) {
        const std::vector<char> last = mark_long_edges(matrix, n_grid_cols);
        std::vector<std::int32_t> last_pixels;
        for (std::ptrdiff_t i = 0; i < matrix.n; ++i) {
            if (last[static_cast<std::size_t>(i)] != 0) {
                last_pixels.push_back(static_cast<std::int32_t>(i));
            }
        }
        // The last front is dense. With long edges everywhere the matrix is no grid and its graph must be searched.
        on_grid = last_pixels.size() <= static_cast<std::size_t>(std::max<std::ptrdiff_t>(4096, matrix.n / 64));
        if (on_grid) {
            GridDissection dissection(builder, n_grid_cols, last);
            const std::int32_t root = dissection.dissect(0, n_grid_rows, 0, n_grid_cols);
            if (!last_pixels.empty()) {
                builder.add(last_pixels, {root});
            }
        }
    }
    if (!on_grid) {
        std::vector<std::int32_t> all(static_cast<std::size_t>(matrix.n));
        std::iota(all.begin(), all.end(), 0);
        GraphDissection<T>(builder, matrix).dissect(std::move(all));
    }
    finish_tree(matrix, tree);
    return tree;
}

template <class Matrix>
EliminationTree dissect_points(const Matrix& matrix, const std::vector<GridPoint>& points, std::ptrdiff_t reach) {
    EliminationTree tree;
    tree.n = matrix.n;
    tree.order.reserve(points.size());
    TreeBuilder builder(tree);
    PointDissection(builder, points, reach).dissect(0, points.size());
    finish_tree(matrix, tree);
    return tree;
}

template EliminationTree dissect_points(const SymmetricOperator<float>&, const std::vector<GridPoint>&, std::ptrdiff_t);
template EliminationTree dissect_points(const UnknownBlock<float>&, const std::vector<GridPoint>&, std::ptrdiff_t);
template EliminationTree nested_dissection(const SymmetricOperator<float>&, std::ptrdiff_t, std::ptrdiff_t);
template EliminationTree nested_dissection(const SymmetricOperator<double>&, std::ptrdiff_t, std::ptrdiff_t);

}  // namespace fastsoft::detail
