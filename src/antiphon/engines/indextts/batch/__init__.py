"""The batched runtime of IndexTTS: segments of any request go through all stages of one model together.

Each module is one stage or one decision, and works on rows: what a row's result is does not depend on which rows share
its batch. Importing these modules imports torch; only an engine that is loading does so. Their functions expect to be
called inside `torch.inference_mode()`.
"""
