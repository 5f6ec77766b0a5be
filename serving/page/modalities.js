/* What the page knows of each modality; an input of one it does not know is a file without a preview. */

const CLIPS = "video/*,.mp4,.mov,.webm,.mkv,.avi,.flv,.mpg,.mpeg";

const KNOWN = {
  audio: {
    hint: "WAV, FLAC, OGG, MP3, or a clip with sound",
    accept: `audio/*,${CLIPS},.wav,.flac,.ogg,.mp3`,
    shown: "audio",
    icon: "M3 10.5v3M7.5 7v10M12 3.5v17M16.5 7v10M21 10.5v3",
  },
  video: {
    hint: "MP4, MOV, WebM, MKV, AVI, FLV, MPEG",
    accept: CLIPS,
    shown: "video",
    icon: "M3 6.5h12.5v11H3zM15.5 10.5l5.5-3v9l-5.5-3z",
  },
  image: {
    hint: "PNG, JPEG, WebP, BMP, GIF, TIFF",
    accept: "image/*,.tif,.tiff",
    shown: "picture",
    icon: "M3.5 5h17v14h-17zM3.5 16.5l5-5 4.5 4.5 3-3 4.5 4.5M15.5 9h.01",
  },
  text: {
    hint: "Type or paste it, or drop a text file",
    accept: "text/plain,.txt",
    shown: "nothing",
    icon: "M4 6h16M4 10.5h16M4 15h16M4 19.5h9",
  },
  pathology: {
    hint: "A colour tile: PNG, JPEG, TIFF, JPEG 2000",
    accept: "image/*,.tif,.tiff,.jp2",
    shown: "picture",
    icon: "M12 3.5a8.5 8.5 0 1 0 0 17 8.5 8.5 0 1 0 0-17zM9 9.5h.01M14.5 8.5h.01M15.5 13.5h.01M11 14.5a1.2 1.2 0 1 0 .01 0",
  },
  genomics: {
    hint: "JSON of names and values, or CSV of two lines: names, then values",
    accept: ".json,.csv,.txt,application/json,text/csv",
    shown: "values",
    icon: "M7 3c0 5 10 4 10 9S7 16 7 21M17 3c0 5-10 4-10 9s10 4 10 9M8.5 6h7M8.5 18h7",
  },
};

const UNKNOWN = { hint: "A file", accept: "", shown: "nothing", icon: "M6 3h8l4 4v14H6zM14 3v4h4" };

export const modality = (name) => KNOWN[name] ?? UNKNOWN;

/** `audio`, or `front (video)` for an input that is not named like its modality. */
export function title(input) {
  return input.name === input.modality ? input.name : `${input.name} (${input.modality})`;
}
