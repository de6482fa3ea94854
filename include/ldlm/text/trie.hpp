#pragma once
// A trie: the longest of many strings that a text begins with.

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include <ldlm/text/hash.hpp>
#include <ldlm/text/vocabulary.hpp>

namespace ldlm::detail {

/// A trie over bytes whose edges lie in one hash table.
class Trie {
 public:
  static constexpr std::uint32_t root = 0;
  static constexpr std::uint32_t none = ~std::uint32_t{0};

  void add(std::string_view key, TokenId value);

  /// The child of `node` by `byte`, or none.
  [[nodiscard]] std::uint32_t child(std::uint32_t node, char byte) const noexcept {
    const std::uint64_t key = key_of(node, byte);
    const std::size_t mask = edges_.size() - 1;
    for (std::size_t s = mix(key) & mask; edges_[s].key != 0; s = (s + 1) & mask) {
      if (edges_[s].key == key) {
        return edges_[s].child;
      }
    }
    return none;
  }

  /// The node that a key leads to, or none.
  [[nodiscard]] std::uint32_t walk(std::uint32_t node, std::string_view key) const noexcept {
    for (std::size_t i = 0; i < key.size() && node != none; ++i) {
      node = child(node, key[i]);
    }
    return node;
  }

  /// The value of the key that ends at a node, or -1.
  [[nodiscard]] PieceId value(std::uint32_t node) const noexcept { return values_[node]; }

 private:
  struct Edge {
    std::uint64_t key = 0;  // 0: free
    std::uint32_t child = 0;
  };

  static std::uint64_t key_of(std::uint32_t node, char byte) noexcept {
    return (std::uint64_t{node} << 8 | static_cast<unsigned char>(byte)) + 1;
  }

  std::uint32_t child_or_new(std::uint32_t node, char byte);

  void insert(const Edge& edge);

  std::vector<Edge> edges_ = std::vector<Edge>(16);
  std::vector<PieceId> values_ = {-1};
};

}  // namespace ldlm::detail

#ifndef LDLM_LINKED
#include <ldlm/text/impl/trie.hpp>
#endif
