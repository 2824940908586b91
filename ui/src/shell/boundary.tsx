import { Component, type ComponentChildren } from 'preact';
import { Button } from '../design/button.tsx';
import { Empty } from '../design/empty.tsx';
import { shell } from './texts.ts';

/** Keeps the failure of a screen inside that screen. */
export class Boundary extends Component<{ name: string; children: ComponentChildren }, { error: unknown }> {
  override state = { error: undefined as unknown };

  override componentDidCatch(error: unknown): void {
    console.error(error);
    this.setState({ error });
  }

  override componentDidUpdate(before: { name: string }): void {
    if (before.name !== this.props.name && this.state.error !== undefined) this.setState({ error: undefined });
  }

  override render() {
    if (this.state.error === undefined) return this.props.children;
    return (
      <Empty
        icon="warning"
        title={shell().crashed}
        action={
          <Button icon="refresh" onClick={() => this.setState({ error: undefined })}>
            {shell().tryAgain}
          </Button>
        }
      >
        <p>{shell().crashedText}</p>
        <p>
          <code class="wrap-anywhere">{String(this.state.error)}</code>
        </p>
      </Empty>
    );
  }
}
