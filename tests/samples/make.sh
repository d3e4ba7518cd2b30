#!/usr/bin/env bash
# Makes the samples of this folder again. Needs ffmpeg with libmp3lame, libx264 and libwebp.
# The same ffmpeg makes the same bytes; another version may not, so the samples are kept beside their recipe.
set -euo pipefail
cd "$(dirname "$0")"

make() {
    ffmpeg -nostdin -loglevel error -y "$@"
}

exact=(-map_metadata -1 -fflags +bitexact -flags:v +bitexact -flags:a +bitexact)
tone=(-f lavfi -i 'sine=frequency=440:sample_rate=44100:duration=1')
stripes=(-f lavfi -i 'testsrc=size=64x48:rate=10:duration=1')

make "${tone[@]}" "${exact[@]}" -c:a libmp3lame -b:a 32k -ac 1 -id3v2_version 0 -write_xing 0 voice.mp3
make "${tone[@]}" "${exact[@]}" -metadata title=Tone -c:a libmp3lame -b:a 32k -ac 1 voice-tagged.mp3
make "${stripes[@]}" "${tone[@]}" "${exact[@]}" -shortest \
    -c:v libx264 -preset veryslow -crf 35 -pix_fmt yuv420p -threads 1 -bsf:v filter_units=remove_types=6 \
    -c:a aac -b:a 16k -ac 1 -movflags +faststart video.mp4
make "${stripes[@]}" "${exact[@]}" -frames:v 1 -c:v mjpeg -q:v 8 -pix_fmt yuvj420p image.jpg
make "${stripes[@]}" "${exact[@]}" -frames:v 1 -c:v png image.png
make "${stripes[@]}" "${exact[@]}" -frames:v 1 -c:v libwebp -quality 50 image.webp
make "${stripes[@]}" "${exact[@]}" -frames:v 2 -c:v gif image.gif
