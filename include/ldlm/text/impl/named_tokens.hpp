#pragma once
// The special tokens that a folder's files name besides the seven of every tokenizer: under keys of
// the model's own ("image_token") and in lists. Which of several lists counts is transformers'
// rule.

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <ldlm/json/reader.hpp>
#include <ldlm/text/added_tokens.hpp>
#include <ldlm/text/impl/tokenizer_classes.hpp>

namespace ldlm::detail {

/// An added token as an object of a file; `special` where it does not say.
[[nodiscard]] inline AddedToken read_added_token(const JsonReader& view, bool special = false) {
  AddedToken token;
  token.content = view.at("content").string();
  token.special = view.get("special", special);
  token.single_word = view.get("single_word", false);
  token.lstrip = view.get("lstrip", false);
  token.rstrip = view.get("rstrip", false);
  token.normalized = view.get("normalized", !token.special);
  return token;
}

/// A special token, given by its content or as an object.
[[nodiscard]] inline AddedToken read_special_token(const JsonReader& view) {
  AddedToken token =
      view.value().is_string() ? special_token(view.string()) : read_added_token(view, true);
  if (token.content.empty()) {
    view.fail("is empty");
  }
  token.special = true;
  return token;
}

/// Tokens by name; a new one goes to the end.
class NamedTokens {
 public:
  void set(std::string_view name, AddedToken token) {
    const auto at = find(name);
    if (at == tokens_.end()) {
      tokens_.emplace_back(name, std::move(token));
    } else {
      at->second = std::move(token);
    }
  }
  void erase(std::string_view name) {
    if (const auto at = find(name); at != tokens_.end()) {
      tokens_.erase(at);
    }
  }
  [[nodiscard]] auto begin() const noexcept { return tokens_.begin(); }
  [[nodiscard]] auto end() const noexcept { return tokens_.end(); }

 private:
  std::vector<std::pair<std::string, AddedToken>>::iterator find(std::string_view name) {
    return std::find_if(tokens_.begin(), tokens_.end(),
                        [&](const auto& each) { return each.first == name; });
  }
  std::vector<std::pair<std::string, AddedToken>> tokens_;
};

/// Reads tokenizer_config.json, then special_tokens_map.json.
class OwnSpecialTokens {
 public:
  void read_config(const JsonReader& root) {
    const auto old = root.find(old_list);
    if (const auto named = root.find("model_specific_special_tokens")) {
      read_names(*named);
    }
    const NamedTokens given = std::exchange(by_table_, {});
    for_each_own_key(root, [&](const std::string& key, const JsonReader& view) {
      if (view.value().is_string()) {
        by_table_.set(key, read_special_token(view));
      } else if (view.value().is_object() && view.find("__type")) {
        by_key_.set(key, read_special_token(view));
      }
    });
    const auto list = root.find(new_list);
    const bool filled =
        list && (list->value().is_object() ? !list->members().empty() : !list->items().empty());
    listed_ = root.value().find(new_list) != nullptr || root.value().find(old_list) != nullptr;
    if (filled) {
      read_list(*list);
      if (old) {
        read_old_list(*old);
      }
    } else if (old) {
      read_list(*old);
    }
    if (by_table_.begin() == by_table_.end()) {
      by_table_ = given;
    }
  }

  void read_map(const JsonReader& root) {
    for_each_own_key(root, [&](const std::string& key, const JsonReader& view) {
      if (view.value().is_null()) {
        by_key_.erase(key);
      } else if (view.value().is_string() || view.value().is_object()) {
        by_key_.set(key, read_special_token(view));
      }
    });
    if (root.value().find(new_list) != nullptr) {
      listed_ = true;
      if (const auto view = root.find(new_list)) {
        read_list(*view, true);
      } else {
        extra_.clear();
      }
    }
    if (const auto view = root.find(old_list)) {
      read_old_list(*view);
    }
  }

  /// Those under names, in the order in which missing ones get ids.
  [[nodiscard]] std::vector<AddedToken> named() const {
    NamedTokens all = by_key_;
    for (const auto& [name, token] : by_table_) {
      all.set(name, token);
    }
    std::vector<AddedToken> out;
    for (const auto& [name, token] : all) {
      out.push_back(token);
    }
    return out;
  }
  /// Those of the lists; they get theirs after the named ones.
  [[nodiscard]] const std::vector<AddedToken>& extra() const noexcept {
    return listed_ ? extra_ : old_;
  }

 private:
  static constexpr const char* new_list = "extra_special_tokens";
  static constexpr const char* old_list = "additional_special_tokens";

  template <class Use>
  static void for_each_own_key(const JsonReader& root, Use&& use) {
    for (const auto& [key, view] : root.members()) {
      const bool usual = std::find(special_token_keys.begin(), special_token_keys.end(), key) !=
                         special_token_keys.end();
      if (key.ends_with("_token") && !usual) {
        use(key, view);
      }
    }
  }

  void read_names(const JsonReader& view) {
    for (const auto& [name, token] : view.members()) {
      by_table_.set(name, read_special_token(token));
    }
  }

  /// A token of a list: a string is special, an object if it says so.
  static AddedToken read_item(const JsonReader& view, bool special) {
    AddedToken token = read_special_token(view);
    if (view.value().is_object()) {
      token.special = view.get("special", special);
      token.normalized = view.get("normalized", !token.special);
    }
    return token;
  }

  /// The list that counts; an object's names are those of the model, and it is no list.
  void read_list(const JsonReader& view, bool special = false) {
    listed_ = !view.value().is_object();
    if (!listed_) {
      extra_.clear();
      return read_names(view);
    }
    for (const JsonReader& item : view.items()) {
      const AddedToken token = read_item(item, special);
      if (std::find(extra_.begin(), extra_.end(), token) == extra_.end()) {
        extra_.push_back(token);
      }
    }
  }

  /// The one under the older name, which counts where there is no other.
  void read_old_list(const JsonReader& view) {
    old_.clear();
    for (const JsonReader& item : view.items()) {
      old_.push_back(read_item(item, false));
    }
  }

  NamedTokens by_key_;    // "image_token": {...}
  NamedTokens by_table_;  // "image_token": "...", and the tables
  std::vector<AddedToken> extra_, old_;
  bool listed_ = false;
};

}  // namespace ldlm::detail
