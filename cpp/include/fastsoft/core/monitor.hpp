// SPDX-License-Identifier: MIT
#pragma once

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

}  // namespace fastsoft
