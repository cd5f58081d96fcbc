// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>

namespace fastsoft {

// How long operations report progress and learn that they should stop. report() is called from the thread that
// entered the operation, between work items, with the share of work done in [0, 1]; it throws to cancel. An
// operation therefore owns everything through RAII and leaves nothing behind when report() throws.
class Monitor {
public:
    virtual ~Monitor() = default;
    virtual void report(double fraction) = 0;
};

class SilentMonitor final : public Monitor {
public:
    void report(double) override {}
};

// The part [begin, end) of a larger operation, for a solver that is one of its steps.
class SubMonitor final : public Monitor {
public:
    SubMonitor(Monitor& whole, double begin, double end) : whole_(whole), begin_(begin), end_(end) {}

    void report(double fraction) override { whole_.report(begin_ + fraction * (end_ - begin_)); }

private:
    Monitor& whole_;
    double begin_;
    double end_;
};

// For operations with a step that may have to be repeated, whose number of repetitions nobody knows beforehand: a
// factorisation with another shift, an iteration that loses what had converged. Who watches sees the share stand still
// until the repetition has caught up, instead of fall; cancelling works all the same.
class RisingMonitor final : public Monitor {
public:
    explicit RisingMonitor(Monitor& whole) : whole_(whole) {}

    void report(double fraction) override {
        highest_ = std::max(highest_, fraction);
        whole_.report(highest_);
    }

private:
    Monitor& whole_;
    double highest_ = 0.0;
};

}  // namespace fastsoft
