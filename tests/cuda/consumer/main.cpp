// Computes on the CPU and, where there is one, on the card; without one it says why.

#include <iostream>

#include <ldlm/ldlm.hpp>

int main() {
  ldlm::Generator generator(1);
  const auto x = ldlm::randn({64, 64}, generator);
  const auto y = matmul(x, x);
  std::cout << "cpu: " << ldlm::device_info(ldlm::cpu).name << "\n";
  try {
    const ldlm::DeviceInfo info = ldlm::device_info(ldlm::cuda);
    std::cout << "cuda: " << info.name << "\n";
    const auto card = x.to(ldlm::cuda);
    const auto difference = max(abs(matmul(card, card).to(ldlm::cpu) - y)).item();
    std::cout << "largest difference of a product: " << difference << "\n";
    return difference < 1e-4F ? 0 : 1;
  } catch (const ldlm::DeviceError& error) {
    std::cout << "cuda: " << error.what() << "\n";
  }
}
