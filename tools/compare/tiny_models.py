"""A tiny random model of every Bert and GPT-2 class, as transformers saves it."""

import torch
import transformers

BERT = ["BertModel", "BertForPreTraining", "BertLMHeadModel", "BertForMaskedLM",
        "BertForNextSentencePrediction", "BertForSequenceClassification", "BertForMultipleChoice",
        "BertForTokenClassification", "BertForQuestionAnswering"]  # fmt: skip
GPT2 = ["GPT2Model", "GPT2LMHeadModel", "GPT2DoubleHeadsModel", "GPT2ForSequenceClassification",
        "GPT2ForTokenClassification", "GPT2ForQuestionAnswering"]  # fmt: skip


def make_all(folder):
    """The folders, one a class."""
    transformers.utils.logging.disable_progress_bar()
    made = []
    for number, name in enumerate(BERT + GPT2):
        torch.manual_seed(number)
        if name in BERT:
            config = transformers.BertConfig(
                vocab_size=61, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=24,
                max_position_embeddings=32, num_labels=3, is_decoder=name == "BertLMHeadModel")  # fmt: skip
        else:
            config = transformers.GPT2Config(
                vocab_size=61, n_embd=16, n_layer=2, n_head=2, n_positions=32, num_labels=3, pad_token_id=0,
                bos_token_id=1, eos_token_id=2)  # fmt: skip
        model = getattr(transformers, name)(config).eval()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter += 0.2 * torch.randn_like(parameter)
        model.save_pretrained(folder / name)
        made.append(folder / name)
    return made
