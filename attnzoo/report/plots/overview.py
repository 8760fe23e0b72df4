"""Which scores plots show where there is no room for all."""

OVERVIEW = ("embedded_perceptual", "fd_embedded_video", "warp_error_1")
"""What stands for a picture, for a video and for its coherence."""

TABLE = (
    "fd_embedded_frame", "ssim", "psnr", "embedded_perceptual", "l1_body",
    "fd_embedded_video", "warp_error_1", "warp_error_4", "ghosting", "logo_jitter",
)  # fmt: skip
"""Of what shows a row's scores as numbers: pictures, then videos."""

GAINS = (
    "fd_embedded_frame", "embedded_perceptual", "ssim", "l1",
    "fd_embedded_video", "warp_error_1", "warp_error_4", "l1_body",
)  # fmt: skip
"""By what the claims are judged: pictures, then videos and the body."""

SHORT = ("embedded_perceptual", "l1_body", "fd_embedded_video", "warp_error_1", "warp_error_4")
"""Of a table that is too long for two strips."""
