"""The era store: features as an era-ordered, memory-mapped int8 matrix that many processes read without copies.

    store = write_era_store([train, validation], features, ["target_ender_60"], folder)
    x = EraStore.open(folder).matrix(window.train)        # int8 view, no copy
    y = EraStore.open(folder).column("target_ender_60", window.train)

One byte a value instead of four (float32) or more (a frame), no parsing after the first time, and the page cache is
shared by all processes. On disk: `matrix.npy`, `ids.npy`, `column-*.npy`, `missing.npy`, and `layout.json` last.
"""
