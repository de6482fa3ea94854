// Tensors: how to make them, look at them, share them and compute with them.

#include <iostream>

#include <ldlm/ldlm.hpp>

using ldlm::Tensor;

int main() {
  std::cout << "-- Making tensors: every way has a name.\n";
  const auto x = Tensor<float>::from_values({2, 3}, {1, 2, 3, 4, 5, 6});
  const auto ones = Tensor<float>::ones({2, 3});
  const auto steps = Tensor<std::int64_t>::arange(0, 12).reshape({3, 4});
  ldlm::Generator generator(42);  // all randomness comes from a generator that you hold
  const auto noise = ldlm::randn<float>({1000, 3}, generator);
  std::cout << "x, of shape " << x.shape() << ":\n" << x << "\n";
  std::cout << "steps:\n" << steps << "\n";
  std::cout << "noise, of which only the ends are shown:\n" << noise << "\n\n";

  std::cout << "-- Views: slices, transposes and reshapes share the elements.\n";
  const auto middle = steps.slice(0, 1, 3).slice(1, 0, ldlm::to_end, 2);  // rows 1 and 2, every 2nd
  middle.fill_(-1);                                                       // writes into `steps`
  std::cout << "steps after middle.fill_(-1):\n" << steps << "\n";
  const auto copy = x.clone();  // elements of its own
  mul_(copy, 10.0F);            // a trailing underscore: in place
  std::cout << "x.transpose(0, 1), whatever happened to its clone:\n" << x.transpose(0, 1) << "\n";
  std::cout << "x.select(1, -1), the last column: " << x.select(1, -1) << "\n\n";

  std::cout << "-- Broadcasting: axes of extent 1 repeat, as in NumPy.\n";
  const auto row = Tensor<std::int64_t>::arange(1, 6);  // (5)
  const auto column = row.unsqueeze(1);                 // (5, 1)
  std::cout << "column * row:\n" << column * row << "\n";
  // Reductions take axes; with `keep` the result broadcasts against what it came from.
  const auto centred = noise - mean(noise, 0, true);
  std::cout << "the noise has mean " << mean(noise, 0) << ", variance " << mean(square(centred), 0)
            << "\n\n";

  std::cout << "-- Matrix products take any strides, and batches.\n";
  const auto gram = matmul(x, x.transpose(0, 1));
  std::cout << "x times its transpose:\n" << gram << "\n";
  const auto batch = ldlm::randn<float>({8, 4, 3}, generator);
  const auto products = matmul(batch, x.transpose(0, 1));  // (8, 4, 3) x (3, 2)
  std::cout << batch.shape() << " x " << x.transpose(0, 1).shape() << " -> " << products.shape()
            << "\n\n";

  std::cout << "-- Choosing: comparisons, where, argmax, gathering.\n";
  std::cout << "where(x > 3, x, 0):\n"
            << where(gt(x, ones * 3.0F), x, Tensor<float>::scalar(0)) << "\n";
  std::cout << "position of the largest element of each row: " << argmax(x, 1) << "\n";
  const auto picks = Tensor<std::int64_t>::from_values({3}, {2, 0, 2});
  std::cout << "columns 2, 0, 2:\n" << index_select(x, 1, picks) << "\n";
  std::cout << "as whole numbers, doubled: " << ldlm::cast<std::int32_t>(x).flatten() * 2 << "\n\n";

  std::cout << "-- Mistakes are exceptions that say what is wrong.\n";
  bool caught = false;
  try {
    (void)matmul(x, x);
  } catch (const ldlm::Error& error) {
    caught = true;
    std::cout << error.what() << "\n";
  }

  const bool right = gram.at({0, 0}) == 14 && gram.at({0, 1}) == 32 && gram.at({1, 1}) == 77 &&
                     steps.at({1, 0}) == -1 && steps.at({1, 1}) == 5 && x.at({0, 0}) == 1 && caught;
  if (!right) {
    std::cerr << "something above is wrong\n";
    return 1;
  }
}
