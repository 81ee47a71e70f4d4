"""What a process settles before it computes."""

import os
from pathlib import Path

from distillery.compute import process


def test_compiled_code_is_kept_in_the_user_s_cache_and_left_to_torch_where_there_is_none(
    tmp_path, monkeypatch
):
    for name in ("TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)

    def homeless():
        raise RuntimeError("Could not determine home directory.")

    with monkeypatch.context() as context:
        context.setattr(Path, "home", homeless)
        process.keep_compiled()
    assert "TORCHINDUCTOR_CACHE_DIR" not in os.environ
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    process.keep_compiled()
    assert (
        os.environ["TORCHINDUCTOR_CACHE_DIR"] == str(tmp_path / "distillery/compiled")
        and (tmp_path / "distillery/compiled").is_dir()
    )
