#pragma once
// The bodies of text/trie.hpp.

#include <ldlm/text/trie.hpp>

#include <ldlm/core/linkage.hpp>

namespace ldlm::detail {

LDLM_BODY void Trie::add(std::string_view key, TokenId value) {
  std::uint32_t node = root;
  for (const char c : key) {
    node = child_or_new(node, c);
  }
  values_[node] = static_cast<PieceId>(value);
}

LDLM_BODY std::uint32_t Trie::child_or_new(std::uint32_t node, char byte) {
  if (const std::uint32_t known = child(node, byte); known != none) {
    return known;
  }
  if (values_.size() * 2 > edges_.size()) {
    std::vector<Edge> old(edges_.size() * 4);
    old.swap(edges_);
    for (const Edge& edge : old) {
      if (edge.key != 0) {
        insert(edge);
      }
    }
  }
  const auto made = static_cast<std::uint32_t>(values_.size());
  values_.push_back(-1);
  insert({key_of(node, byte), made});
  return made;
}

LDLM_BODY void Trie::insert(const Edge& edge) {
  const std::size_t mask = edges_.size() - 1;
  std::size_t s = mix(edge.key) & mask;
  while (edges_[s].key != 0) {
    s = (s + 1) & mask;
  }
  edges_[s] = edge;
}

}  // namespace ldlm::detail
