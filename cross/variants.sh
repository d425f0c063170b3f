# Sourced by kernels.sh: which of ggml's CPU variants are worth building.
#
# all_variants ARCH lists those that packages carry. Left out are the ones no
# processor would choose, or that compute with the same instructions as one here:
# x64 (the linked-in baseline), armv8.2_1 and armv8.2_3 (nothing has dotprod
# without fp16, nor SVE with dotprod but without i8mm), armv8.6_2 (no SVE2 code)
# and armv9.2 (no SME code, and gcc 12 does not know it).
all_variants() {
  case $1 in
    amd64) echo sse42 sandybridge haswell alderlake skylakex icelake sapphirerapids ;;
    arm64) echo armv8.0_1 armv8.2_2 armv8.6_1 ;;
  esac
}

# tiles_allowed says whether the system lets processes use the tiles of AMX, which a container or
# a kernel before 5.16 may not (arch_prctl 158, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA).
tiles_allowed() { python3 -c 'import ctypes, sys; sys.exit(ctypes.CDLL(None).syscall(158, 0x1023, 18) != 0)' 2>/dev/null; }

# own_variant ARCH is the one of them that the program will choose on this
# machine: the other ones would only lengthen its first build.
own_variant() {
  local have
  have=" $(grep -m1 -E '^(flags|Features)' /proc/cpuinfo | cut -d: -f2-) "
  has() { local f; for f; do case $have in *" $f "*) ;; *) return 1 ;; esac; done; }
  case $1 in
    amd64)
      if ! has sse4_2; then return
      elif ! has avx; then echo sse42
      elif ! has avx2 fma f16c bmi2; then echo sandybridge
      elif has avx512f avx512cd avx512vl avx512dq avx512bw; then
        if has avx512vbmi avx512_vnni amx_tile amx_int8 && tiles_allowed && ${CXX:-c++} -mamx-int8 -E -x c++ /dev/null >/dev/null 2>&1; then
          echo sapphirerapids
        elif has avx512vbmi avx512_vnni; then echo icelake
        else echo skylakex; fi
      elif has avx_vnni; then echo alderlake
      else echo haswell; fi ;;
    arm64)
      if ! has asimddp fphp; then echo armv8.0_1
      elif ! has sve i8mm; then echo armv8.2_2
      else echo armv8.6_1; fi ;;
  esac
}
