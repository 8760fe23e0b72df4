"""Which scores plots show where there is no room for all."""

OVERVIEW = ("embedded_perceptual", "fd_embedded_video", "warp_error_1")
"""What stands for a picture, for a video and for its coherence."""

TABLE = (
    "fd_embedded_frame", "ssim", "psnr", "embedded_perceptual", "l1_body",
    "fd_embedded_video", "warp_error_1", "warp_error_4", "ghosting", "logo_jitter",
)  # fmt: skip
"""Of a table that is short enough for two strips: pictures, then videos."""

SHORT = ("embedded_perceptual", "l1_body", "fd_embedded_video", "warp_error_1", "ghosting")
"""Of a longer one."""
