#!/bin/sh
# What `python -m attnzoo.plan` works out, held against steps that are run here on random weights:
#
#     sh results/plan/measure.sh small narrow half full
#
# adds lines to results/plan/measured.jsonl, each with its command, machine and versions. `small` has
# clips of the embedded size, the others those of the paper (16 frames of 256 x 256) at a tenth,
# half and all of the paper's widths, which take 1, 5 and up to 19 GiB; one pass each there, without
# one to warm up.
set -eu
out=results/plan/measured.jsonl
step() { "${PYTHON:-python}" -m attnzoo.plan device=cpu precision=fp32 --out "$out" "$@"; }
random="model.weights=random model.disco=null"

small() {
    for variant in temporal stsa stsa_flow crossframe_all temporal_conv; do
        step attn=$variant --measure stage1 --measure sample --whole
    done
    for variant in temporal stsa stsa_flow; do
        step attn=$variant train.gradient_checkpointing=true --whole \
            --measure stage1 --measure stage2
    done
    for variant in stsa stsa_flow motion_module crossframe_first; do
        step +preset=paper $random model.scale=0.1 data.size=128 attn=$variant \
            train.gradient_checkpointing=false --whole --measure stage1 --measure stage2
    done
    for variant in stsa temporal; do
        step +preset=paper $random model.scale=0.2 data.size=128 attn=$variant \
            --whole --measure stage1 --measure stage2
    done
}

# The first step of each row of Table 1 at the paper's shape. DisCo adds nothing to the base, so its
# first step is one of stage 2.
rows() {
    step +preset=paper $random "$@" +row=vd_sa --cold --update --measure stage1
    step +preset=paper $random "$@" +row=vd_sa --cold --measure sample
    for row in +row=dreampose +row=vd +row=vd_sa_mf; do
        step +preset=paper $random "$@" $row --cold --update --measure stage1
    done
    step +preset=paper $random "$@" +row=disco --cold --measure stage2
}

narrow() { rows model.scale=0.1 --whole; }

half() {
    rows model.scale=0.5
    step +preset=paper $random model.scale=0.5 +row=vd_sa --cold --update --measure stage2
}

full() {
    rows model.scale=1
    # Without Adam and averages, which would take 11 GiB more.
    step +preset=paper $random +row=vd_sa --cold --whole --measure stage2
}

for part in "${@:-small}"; do $part; done
