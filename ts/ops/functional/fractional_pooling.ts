/** Fractional max pooling. */
