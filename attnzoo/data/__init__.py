"""Clips to train and test on: the embedded dancers, a video, TikTok dances.

Every data set hands out `attnzoo.data.clip.Clip`; pictures, poses, masks and flow stay together.
"""
