The lab reads your own wimboot's log of the files that it injects into Windows PE, and sees it start the boot manager (`PXED_WIMBOOT`, `tests/lab/test_wimboot.py`).
