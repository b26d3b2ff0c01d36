// What can be undone.

const MOST = 500

export class History<State> {
  private past: State[] = []
  private future: State[] = []

  constructor(private state: State) {}

  get now(): State {
    return this.state
  }
  get canUndo(): boolean {
    return this.past.length > 0
  }
  get canRedo(): boolean {
    return this.future.length > 0
  }

  do(state: State): void {
    this.past.push(this.state)
    if (this.past.length > MOST) this.past.shift()
    this.future = []
    this.state = state
  }

  undo(): boolean {
    if (!this.canUndo) return false
    this.future.push(this.state)
    this.state = this.past.pop()!
    return true
  }

  redo(): boolean {
    if (!this.canRedo) return false
    this.past.push(this.state)
    this.state = this.future.pop()!
    return true
  }
}
