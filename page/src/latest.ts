// Of several requests only the latest counts: a new one aborts the one before.

export class Latest {
  private controller = new AbortController()

  /** What `work` gives, or undefined where a later request or `stop` came between. */
  async run<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T | undefined> {
    this.stop()
    const { signal } = this.controller
    try {
      const result = await work(signal)
      return signal.aborted ? undefined : result
    } catch (error) {
      if (signal.aborted) return undefined
      throw error
    }
  }

  stop(): void {
    this.controller.abort()
    this.controller = new AbortController()
  }
}
