# exported.sh LIBRARY: fails if it exports another name than c_api.h's, or needs PyTorch's library.
others=$(nm -D --defined-only "$1" | cut -d ' ' -f 3 | grep -v '^polariscope_')
[ -z "$others" ] || { echo "exported as well:"; echo "$others"; exit 1; }
! ldd "$1" | grep -E 'libtorch|libc10'
