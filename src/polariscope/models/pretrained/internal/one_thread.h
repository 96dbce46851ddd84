// oneDNN would share every product out over the machine; where several threads have work already, each is to have its
// own alone.
#pragma once

// OpenMP's own, declared here: its header goes with a compiler's flag, with which Eigen would start threads too.
extern "C" {
int omp_get_max_threads();
void omp_set_num_threads(int threads);
}

namespace polariscope::models {

class OneThread {
 public:
  OneThread() : before_(omp_get_max_threads()) { omp_set_num_threads(1); }
  ~OneThread() { omp_set_num_threads(before_); }
  OneThread(const OneThread&) = delete;
  OneThread& operator=(const OneThread&) = delete;

 private:
  int before_;
};

}  // namespace polariscope::models
