#include "case.hpp"

#include <algorithm>
#include <cmath>
#include <iomanip>
#include <map>
#include <sstream>

#include <ldlm/io/safetensors.hpp>
#include <ldlm/json/parse.hpp>

#include "table.hpp"

namespace ldlm::test {

namespace {

/// Elements as long doubles, which hold every value of every type.
template <class T>
long double wide(T value) {
  if constexpr (std::same_as<T, f16> || std::same_as<T, bf16>) {
    return static_cast<float>(value);
  } else {
    return static_cast<long double>(value);
  }
}

template <class T>
constexpr long double largest() {
  if constexpr (std::same_as<T, f16>) {
    return 65504;
  } else if constexpr (std::same_as<T, bf16>) {
    return 0x1.fep127L;
  } else {
    return static_cast<long double>(std::numeric_limits<T>::max());
  }
}

/// Whether `got` is `want`, give or take `slack`; infinity is as far as the largest number.
template <class T>
bool near(T got, T want, long double slack) {
  const long double g = wide(got);
  const long double w = wide(want);
  if (std::isnan(g) || std::isnan(w)) {
    return std::isnan(g) && std::isnan(w);
  }
  const auto finite = [](long double x) { return std::clamp(x, -largest<T>(), largest<T>()); };
  return g == w || std::abs(finite(g) - finite(w)) <= slack;
}

template <class T>
bool sign_differs(T got, T want) {
  return wide(got) == 0 && wide(want) == 0 && std::signbit(wide(got)) != std::signbit(wide(want));
}

class Runner {
 public:
  Runner(const SafetensorsFile& file, const JsonValue& spec, Device device)
      : file_(file), spec_(spec), device_(device), id_(member("id").as<std::string>()) {}

  [[nodiscard]] const std::string& id() const { return id_; }

  /// What is wrong, or nothing. Sets `zeros` to where a zero has another sign.
  std::string run(std::string& zeros) {
    const JsonValue* const throws = spec_.find("throws");
    const bool must_throw = throws != nullptr && throws->as<bool>();
    load_inputs();
    try {
      for (const JsonValue& step : member("steps").items()) {
        run_step(step);
      }
    } catch (const Error& error) {
      return must_throw ? "" : std::string("threw ") + error.what();
    }
    if (must_throw) {
      return "nothing was thrown";
    }
    for (const JsonValue& want : member("wants").items()) {
      const std::string wrong = check(want.as<std::string>(), zeros);
      if (!wrong.empty()) {
        return wrong;
      }
    }
    return "";
  }

 private:
  const JsonValue& member(std::string_view key) const {
    const JsonValue* const found = spec_.find(key);
    LDLM_CHECK(found != nullptr, "cases", id_, ": ", key, " is missing");
    return *found;
  }

  void load_inputs() {
    for (const JsonValue& name : member("inputs").items()) {
      const std::string key = id_ + '.' + name.as<std::string>();
      const auto dtype = to_dtype(file_.info(key).dtype);
      LDLM_CHECK(dtype.has_value(), "cases", key, ": no tensor has this type");
      visit_dtype(*dtype, [&]<class T>(std::type_identity<T>) {
        values_[name.as<std::string>()] = file_.tensor<T>(key).clone().to(device_);
      });
    }
  }

  void run_step(const JsonValue& step) {
    const JsonValue::Array& parts = step.items();
    LDLM_CHECK(parts.size() == 4, "cases", id_, ": a step has four parts");
    Call call{parts[1].string(), {}, parts[3]};
    static const Value none;
    for (const JsonValue& name : parts[2].items()) {
      const std::string& key = name.string();
      const auto found = values_.find(key);
      LDLM_CHECK(key.empty() || found != values_.end(), "cases", id_, ": no value ", key);
      call.args.push_back(key.empty() ? &none : &found->second);
    }
    table().run(call);
    const JsonValue::Array& names = parts[0].items();
    for (std::size_t i = 0; i < names.size(); ++i) {
      LDLM_CHECK(i < call.results.size(), "cases", id_, ": ", call.op, " gave ",
                 call.results.size(), " results");
      values_[names[i].string()] = std::move(call.results[i]);
    }
  }

  std::string check(const std::string& name, std::string& zeros) const {
    const auto found = values_.find(name);
    LDLM_CHECK(found != values_.end(), "cases", id_, ": no value ", name);
    std::string wrong;
    std::visit(
        [&]<class V>(const V& got) {
          if constexpr (std::same_as<V, std::monostate>) {
            wrong = name + " is nothing";
          } else if constexpr (is_variable<V>) {
            wrong = compare(name, got.value(), zeros);
          } else {
            wrong = compare(name, got, zeros);
          }
        },
        found->second);
    return wrong;
  }

  template <class T>
  std::string compare(const std::string& name, const Tensor<T>& got, std::string& zeros) const {
    const std::string key = id_ + '.' + name;
    const auto dtype = to_dtype(file_.info(key + ":want").dtype);
    if (dtype != dtype_of<T>) {
      return detail::concat(name, " is of ", name_of(dtype_of<T>));
    }
    const Tensor<T> want = file_.tensor<T>(key + ":want");
    if (got.shape() != want.shape()) {
      return detail::concat(name, " has shape ", to_string(got.shape()), ", not ",
                            to_string(want.shape()));
    }
    const Tensor<T> peer =
        file_.contains(key + ":peer") ? file_.tensor<T>(key + ":peer") : Tensor<T>();
    const Tensor<T> slack =
        file_.contains(key + ":slack") ? file_.tensor<T>(key + ":slack") : Tensor<T>();
    const Tensor<T> flat = got.to(cpu).contiguous();
    for (std::int64_t i = 0; i < got.numel(); ++i) {
      const T g = flat.data()[i];
      const T w = want.data()[i];
      const long double s = slack.defined() ? wide(slack.data()[i]) : 0;
      if (!near(g, w, s) && !(peer.defined() && near(g, peer.data()[i], s))) {
        std::ostringstream text;
        text << std::setprecision(sizeof(T) == 8 ? 17 : 9) << name << "[" << i << "] of "
             << to_string(got.shape()) << " is " << wide(g) << ", not " << wide(w) << " +- " << s;
        if (peer.defined()) {
          text << " (or " << wide(peer.data()[i]) << ")";
        }
        return text.str();
      }
      if (zeros.empty() && sign_differs(g, w)) {
        zeros = detail::concat(name, '[', i, "] is ", std::signbit(wide(g)) ? "-0" : "+0");
      }
    }
    return "";
  }

  const SafetensorsFile& file_;
  const JsonValue& spec_;
  Device device_;
  std::string id_;
  std::map<std::string, Value> values_;
};

}  // namespace

CaseCounts run_cases(const std::filesystem::path& path,
                     const std::function<void(std::string_view)>& report, Device device) {
  const SafetensorsFile file = SafetensorsFile::open(path);
  const auto& metadata = file.metadata();
  const auto text = std::find_if(metadata.begin(), metadata.end(),
                                 [](const auto& member) { return member.first == "cases"; });
  LDLM_CHECK(text != metadata.end(), "cases", path.string(), ": its metadata has no \"cases\"");
  const JsonValue cases = parse_json(text->second, path.string());
  CaseCounts counts;
  for (const JsonValue& spec : cases.items()) {
    Runner runner(file, spec, device);
    report("RUN " + runner.id());
    std::string zeros;
    const std::string wrong = runner.run(zeros);
    ++counts.run;
    if (!wrong.empty()) {
      ++counts.failed;
      report("FAIL " + runner.id() + ": " + wrong);
    } else if (!zeros.empty()) {
      ++counts.zeros;
      report("ZERO " + runner.id() + ": " + zeros);
    }
  }
  return counts;
}

}  // namespace ldlm::test
