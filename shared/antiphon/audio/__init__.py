"""Sound in and out. The one package that imports codecs; nothing is imported until a module is asked for.

sniff      which container bytes are, without any codec
decode     DecoderPool: any container to 16 kHz mono, in limited child processes
encode     Encoder: samples to mp3, opus, aac, flac, wav or pcm, as a stream
resample   Resampler: between sample rates, as a stream
vad        VoiceDetector and speech_spans: where somebody speaks
samples    the array type that all of them share

For live sessions:

g711           the two laws of telephony, decoded and encoded
live_resample  LiveResampler: between sample rates, holding next to nothing back
noise          NoiseReducer: steady noise is taken out
output_sound   OutputSound: speech in the format of the session
"""
