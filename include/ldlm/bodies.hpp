#pragma once
// The bodies of all functions that are no templates, for the one unit of a program that has them.

#ifndef LDLM_LINKED
#error "define LDLM_LINKED for every unit of the program, or include no more than <ldlm/ldlm.hpp>"
#endif

#include <ldlm/files/impl/atomic_file.hpp>
#include <ldlm/files/impl/file_descriptor.hpp>
#include <ldlm/files/impl/folder_lock.hpp>
#include <ldlm/files/impl/folder_update.hpp>
#include <ldlm/files/impl/regular_file.hpp>
#include <ldlm/files/impl/temporary.hpp>
#include <ldlm/io/impl/mapped_file.hpp>
#include <ldlm/text/impl/added_tokens.hpp>
#include <ldlm/text/impl/batch.hpp>
#include <ldlm/text/impl/bpe.hpp>
#include <ldlm/text/impl/byte_level.hpp>
#include <ldlm/text/impl/corpus.hpp>
#include <ldlm/text/impl/decode_stream.hpp>
#include <ldlm/text/impl/decoder.hpp>
#include <ldlm/text/impl/encoding.hpp>
#include <ldlm/text/impl/file_kind.hpp>
#include <ldlm/text/impl/line_reader.hpp>
#include <ldlm/text/impl/normalizer.hpp>
#include <ldlm/text/impl/post_processor.hpp>
#include <ldlm/text/impl/printable.hpp>
#include <ldlm/text/impl/sentences.hpp>
#include <ldlm/text/impl/shuffle.hpp>
#include <ldlm/text/impl/text_file.hpp>
#include <ldlm/text/impl/tokenizer.hpp>
#include <ldlm/text/impl/tokenizer_trainer.hpp>
#include <ldlm/text/impl/trie.hpp>
#include <ldlm/text/impl/unicode.hpp>
#include <ldlm/text/impl/utf8.hpp>
#include <ldlm/text/impl/vocabulary.hpp>
#include <ldlm/text/impl/wikitext.hpp>
#include <ldlm/text/impl/word_counter.hpp>
#include <ldlm/text/impl/wordpiece.hpp>
