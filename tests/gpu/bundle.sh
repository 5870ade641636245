#!/usr/bin/env bash
# bundle.sh FILE.tar.xz: packs the headers HEADERS and the libraries LDLIBS, with what they need themselves, as include/ and lib/: for a
# machine with a GPU and a compiler on which nothing can be installed. Its C library must not be older than this one's.
set -eu -o pipefail
archive=$1
compiler=(${CXX:-g++})
libraries=/usr/lib/$("${compiler[@]}" -print-multiarch)
folder=$(mktemp -d)
trap 'rm -rf "$folder" "$archive.partial"' EXIT
mkdir -p "$folder/include" "$folder/lib" "$(dirname "$archive")"

# Headers in a folder of their own come with all of it; the others with those that they include from beside themselves.
system=$(printf '#include <%s>\n' $HEADERS | "${compiler[@]}" -std=c++20 -M -x c++ - | tr ' \\' '\n\n' | grep '^/')
for header in $HEADERS; do
    path=$(grep -m 1 "/$header\$" <<< "$system")
    root=${path%"/$header"}
    if [[ $header == */* ]]; then
        cp -rL "$root/${header%%/*}" "$folder/include/"
    else
        stem=${header%.h}
        for file in $(grep -E "/(oneapi/.*|lapack\.h|openblas_config\.h|${stem}[^/]*|${stem:0:1}conf\.h)$" <<< "$system"); do
            inside=${file#/usr/include/}
            inside=${inside#"$("${compiler[@]}" -print-multiarch)/"}
            mkdir -p "$folder/include/$(dirname "$inside")"
            cp -L "$file" "$folder/include/$inside"
        done
    fi
done

# Libraries by the name that the linker asks for and by the one that the loader does. The C and C++ libraries are the machine's own. Of BLAS
# and LAPACK the reference, where it is installed, under whose names OpenBLAS is ten times as large.
own='^(ld-linux.*|linux-vdso|libc|libm|libdl|librt|libpthread|libstdc\+\+|libgcc_s|libgomp)\.so'
export LD_LIBRARY_PATH=$libraries/blas:$libraries/lapack
for flag in $LDLIBS; do
    name=lib${flag#-l}.so
    path=$libraries/${flag#-l}/$name
    [[ -e $path ]] || path=$("${compiler[@]}" -print-file-name="$name")
    [[ -e $path ]] || { echo "make gpu-bundle: no $name here" >&2; exit 1; }
    soname=$(basename "$(readlink -f "$path")")
    cp -L "$path" "$folder/lib/$soname"
    loaded=$(objdump -p "$path" | awk '$1 == "SONAME" { print $2 }')
    [[ $loaded == "$soname" ]] || ln -sf "$soname" "$folder/lib/$loaded"
    [[ $name == "$soname" ]] || ln -sf "$soname" "$folder/lib/$name"
    ldd "$path" | awk '$3 ~ /^\// { print $3 }' | while read -r needed; do
        base=$(basename "$needed")
        [[ $base =~ $own || -e $folder/lib/$base ]] || cp -L "$needed" "$folder/lib/$base"
    done
done
tar --sort=name --owner=0 --group=0 --mtime=@0 -C "$folder" -c include lib | xz -T0 > "$archive.partial"
mv "$archive.partial" "$archive"
echo "$archive: $(find "$folder/include" -type f | wc -l) headers, $(find "$folder/lib" -type f | wc -l) libraries," \
    "$(du -sh "$folder" | cut -f 1) packed into $(du -h "$archive" | cut -f 1)"
