// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>

#include "fastsoft/core/block.hpp"

// Reductions of a fixed shape, so that they give the same bits every time.
//
// Items are numbers or types of them without constructors. They are added, unless there is a merge_into(to, from) of
// their own; Item{} changes nothing, unless NeutralItem says what does.
namespace fastsoft::detail {

template <class Item>
FASTSOFT_HD auto merge_into(Item& to, const Item& from) -> decltype(void(to += from)) {
    to += from;
}

template <class Item>
struct NeutralItem {
    FASTSOFT_HD static Item make() { return Item{}; }
};

template <int Threads>
FASTSOFT_HD constexpr int n_tree_phases() {
    static_assert((Threads & (Threads - 1)) == 0);
    int phases = 0;
    for (int half = Threads / 2; half > 0; half /= 2) {
        ++phases;
    }
    return phases;
}

// Merges what the threads of a block hold into items[0], in phases 0 .. n_tree_phases<Threads>() - 1: the first half of
// what is left takes from the second.
template <class Item, int Threads>
FASTSOFT_HD void tree_phase(int phase, Item (&items)[Threads], int thread) {
    const int half = Threads >> (phase + 1);
    if (thread < half) {
        merge_into(items[thread], items[thread + half]);
    }
}

constexpr int kTreeThreads = 256;

// A reduction per block. A Step has Item, Arguments, n_blocks(a), gather(a, block, thread), what a thread begins with,
// and put(a, block, item), called by one thread.
template <class Step>
struct TreeBlock : Step {
    static constexpr int kThreads = kTreeThreads;
    using Arguments = typename Step::Arguments;
    using Registers = Nothing;

    struct Shared {
        typename Step::Item items[kThreads];
    };

    FASTSOFT_HD static int n_phases(const Arguments&) { return 2 + n_tree_phases<kThreads>(); }

    FASTSOFT_HD static void phase(int phase, const Arguments& a, Shared& shared, Registers&, std::ptrdiff_t block,
                                  int thread) {
        if (phase == 0) {
            shared.items[thread] = Step::gather(a, block, thread);
        } else if (phase <= n_tree_phases<kThreads>()) {
            tree_phase(phase - 1, shared.items, thread);
        } else if (thread == 0) {
            Step::put(a, block, shared.items[0]);
        }
    }
};

// The items of a thread of one block that goes over all of them.
template <class Item>
FASTSOFT_HD Item merged_items(const Item* items, std::ptrdiff_t count, int thread) {
    Item item = NeutralItem<Item>::make();
    for (std::ptrdiff_t i = thread; i < count; i += kTreeThreads) {
        merge_into(item, items[i]);
    }
    return item;
}

// One block: all items merged, those of a thread first.
template <class T>
struct TreeTotalStep {
    using Item = T;

    struct Arguments {
        const Item* items;
        std::ptrdiff_t count;
        Item* total;
    };

    FASTSOFT_HD static std::ptrdiff_t n_blocks(const Arguments&) { return 1; }

    FASTSOFT_HD static Item gather(const Arguments& a, std::ptrdiff_t, int thread) {
        return merged_items(a.items, a.count, thread);
    }
    FASTSOFT_HD static void put(const Arguments& a, std::ptrdiff_t, const Item& item) { *a.total = item; }
};

template <class Item>
using TreeTotalBlock = TreeBlock<TreeTotalStep<Item>>;

}  // namespace fastsoft::detail
