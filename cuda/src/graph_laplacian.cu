// SPDX-License-Identifier: MIT
#include "fastsoft/graph_laplacian.hpp"

#include "fastsoft/core/error.hpp"
#include "fastsoft/cuda/launch.cuh"
#include "fastsoft/cuda/sort.hpp"
#include "fastsoft/cuda/workspace.cuh"
#include "fastsoft/detail/graph_laplacian_block.hpp"

namespace fastsoft::cuda {
namespace {

template <class Step>
void run_each(const Context& context, const typename Step::Arguments& arguments) {
    launch<detail::EachBlock<Step>>(context, "graph_laplacian", arguments);
}

// Counts of rows and whether columns are out of order, while a matrix is made.
class Rows {
public:
    Rows(const Context& context, std::ptrdiff_t n_rows)
        : context_(context),
          n_rows_(n_rows),
          counts_(context, static_cast<std::size_t>(n_rows)),
          unsorted_(context, 1) {
        unsorted_.clear(1);
    }

    std::int32_t* counts() const { return counts_.data(); }
    std::int32_t* unsorted() const { return unsorted_.data(); }

    // Fills the row pointers; waits for the number of entries.
    std::int64_t finish(std::int64_t* indptr) const {
        prefix_sums(context_, counts(), n_rows_, indptr);
        const std::int64_t n_entries = read_back(context_, indptr + n_rows_);
        FASTSOFT_EXPECTS(read_back(context_, unsorted()) == 0,
                         "sparse matrices must have sorted columns without duplicates on a CUDA device");
        return n_entries;
    }

private:
    const Context& context_;
    std::ptrdiff_t n_rows_;
    Workspace<std::int32_t> counts_;
    Workspace<std::int32_t> unsorted_;
};

}  // namespace

template <class T>
void affinity_degrees(const Context& context, const SymmetricOperator<T>& affinity, double* sums, double* magnitudes) {
    bool add = false;
    for (const StencilView<T>& stencil : affinity.stencils) {
        run_each<detail::StencilDegrees<T>>(
            context, {stencil.weights, stencil.n_grid_rows, stencil.n_grid_cols, add, sums, magnitudes});
        add = true;
    }
    for (const CsrView<T>& csr : affinity.csrs) {
        run_each<detail::CsrDegrees<T>>(context, {csr, add, sums, magnitudes});
        add = true;
    }
}

template <class T>
void weighted_sum(const Context& context, const CsrView<T>& first, double first_factor, const CsrView<T>& second,
                  double second_factor, const CsrOutput<T>& out) {
    FASTSOFT_EXPECTS(first.n_rows == second.n_rows, "matrices must have one number of rows, got ", first.n_rows,
                     " and ", second.n_rows);
    typename detail::SummedRows<T>::Arguments rows{
        first,  static_cast<T>(first_factor), second, static_cast<T>(second_factor), nullptr, nullptr, nullptr, nullptr,
        nullptr};
    std::int64_t n_entries = 0;
    {
        const Rows counted(context, first.n_rows);
        rows.counts = counted.counts();
        rows.unsorted = counted.unsorted();
        run_each<detail::SummedRows<T>>(context, rows);
        n_entries = counted.finish(out.indptr);
    }
    rows.indptr = out.indptr;
    rows.indices = out.indices(n_entries);
    rows.data = out.data(n_entries);
    if (n_entries > 0) {
        run_each<detail::SummedRows<T>>(context, rows);
    }
}

template <class T>
void graph_laplacian_csr(const Context& context, const CsrView<T>& affinity, const double* scale,
                         const CsrOutput<T>& out) {
    std::int64_t n_entries = 0;
    {
        const Rows counted(context, affinity.n_rows);
        run_each<detail::LaplacianCounts<T>>(context, {affinity, counted.counts(), counted.unsorted()});
        n_entries = counted.finish(out.indptr);
    }
    std::int32_t* const indices = out.indices(n_entries);
    T* const data = out.data(n_entries);
    run_each<detail::LaplacianRows<T>>(context, {affinity, scale, out.indptr, indices, data});
}

template <class T>
void graph_laplacian_stencil(const Context& context, const StencilView<T>& affinity, const double* scale, T* weights) {
    run_each<detail::StencilLaplacian<T>>(
        context, {affinity.weights, affinity.n_grid_rows, affinity.n_grid_cols, scale, weights});
}

#define FASTSOFT_INSTANTIATE(T)                                                                               \
    template void affinity_degrees(const Context&, const SymmetricOperator<T>&, double*, double*);            \
    template void weighted_sum(const Context&, const CsrView<T>&, double, const CsrView<T>&, double,          \
                               const CsrOutput<T>&);                                                          \
    template void graph_laplacian_csr(const Context&, const CsrView<T>&, const double*, const CsrOutput<T>&); \
    template void graph_laplacian_stencil(const Context&, const StencilView<T>&, const double*, T*)

FASTSOFT_INSTANTIATE(float);
FASTSOFT_INSTANTIATE(double);

}  // namespace fastsoft::cuda
